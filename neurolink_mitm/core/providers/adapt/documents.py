"""Adapts documents and images: what the model can't get becomes its text, or words that name it.

https://platform.claude.com/docs/en/build-with-claude/pdf-support
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json, members, text_block
from neurolink_mitm.core.providers.pdf import PDF_TYPE, UNREAD, Pdf, pdf_data, pdf_words
from neurolink_mitm.core.providers.traits import Traits

UNSEEN_IMAGE = "[an image, which this model can't see]"


def document(block: Json, traits: Traits, pdfs: Mapping[str, Pdf]) -> Iterator[Json]:
    """Yield a document: a PDF as such where the model takes it, else its text (`pdfs`, by base64)."""
    source = members(block.get("source"))
    native = _native(block, source, traits)
    if native is None and not _is_blocks(source):
        yield text_block(document_words(block, pdfs))
        return
    if native is None or block.get("context"):
        yield text_block(_head(block))
    if native is None:
        yield from (each for part in source["content"] for each in _part(part, traits))
    else:
        yield {"type": "document", "source": native}


def _native(block: Json, source: Json, traits: Traits) -> Json | None:
    """Return the source of a document that the provider can take as it is; None for any other."""
    if not traits.documents:
        return None
    if data := pdf_data(block):
        return {"type": "base64", "media_type": PDF_TYPE, "data": data}
    if source.get("type") == "url" and traits.links and traits.api == "responses":
        return {"type": "url", "url": str(source.get("url"))}
    return None


def _is_blocks(source: Json) -> bool:
    return source.get("type") == "content" and isinstance(source.get("content"), list)


def _part(part: Json, traits: Traits) -> Iterator[Json]:
    """Yield a part of a document of blocks, which are texts and images."""
    if part.get("type") == "image":
        yield image(part, traits)
    elif part.get("text"):
        yield text_block(part["text"])


def document_words(block: Json, pdfs: Mapping[str, Pdf]) -> str:
    """Return a document as text, or what stands for it."""
    source = members(block.get("source"))
    kind, data = source.get("type"), source.get("data")
    if kind == "text" and isinstance(data, str):
        return f"{_head(block)}\n{data}"
    if kind == "content":
        return f"{_head(block)}\n{_joined(source.get('content'))}"
    if pdf := pdf_data(block):
        words = pdf_words(_title(block), pdfs.get(pdf, UNREAD))
        return f"{_head(block)}\n{words}" if block.get("context") else words
    if kind == "base64" and str(source.get("media_type")).startswith("text/"):
        return f"{_head(block)}\n{_decoded(data)}"
    return f"{_head(block)}\n[{_out_of_reach(source)}]"


def _out_of_reach(source: Json) -> str:
    match source.get("type"):
        case "url":
            return f"the document is at {source.get('url')}, from where this model does not get it"
        case "file":
            return "the document is kept at Anthropic, where this model can't read it"
    kind = source.get("media_type")
    return f"a document of the type {kind}, which this model can't read" if kind else "no document"


def _head(block: Json) -> str:
    """Return the lines before a document: its title, and what is said about it."""
    context = block.get("context")
    return f"[{_title(block) or 'document'}]" + (f"\n[{context}]" if context else "")


def _title(block: Json) -> str:
    return str(block.get("title") or "")


def _joined(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(part.get("text") or f"[{part.get('type')}]" for part in parts)


def _decoded(data: Any) -> str:
    try:
        return binascii.a2b_base64(data).decode("utf-8", "replace")
    except (ValueError, TypeError):
        return "[its data are broken]"


def image(block: Json, traits: Traits) -> Json:
    """Return an image that the provider gets, or words that name it."""
    if not traits.images:
        return text_block(UNSEEN_IMAGE)
    source = members(block.get("source"))
    match source.get("type"):
        case "base64" if source.get("media_type") in traits.refused_images:
            return text_block(
                f"[an image of a form that this model can't see: {source['media_type']}]"
            )
        case "base64" if isinstance(source.get("data"), str) and source.get("media_type"):
            return {"type": "image", "source": source}
        case "url" if traits.links:
            return {"type": "image", "source": source}
        case "url":
            return text_block(f"[image: {source.get('url')}]")
        case "file":
            return text_block("[an image that is kept at Anthropic, where this model can't see it]")
    return text_block("[an image that can't be read]")
