"""Adapts documents."""

from __future__ import annotations

from neurolink_mitm.core.providers.adapt.form import Json, UnsupportedError
from neurolink_mitm.core.providers.traits import Traits


def document(block: Json, traits: Traits) -> Json:
    """Return the block of a document: a text for text, the document itself for all else.

    Raises:
        UnsupportedError: the model takes no documents.
    """
    source = block.get("source") or {}
    if source.get("type") == "text":
        title = block.get("title") or "document"
        return {"type": "text", "text": f"[{title}]\n{source.get('data', '')}"}
    if not traits.documents:
        raise UnsupportedError("This model takes no documents (PDF): send their text instead.")
    return {"type": "document", "source": source}
