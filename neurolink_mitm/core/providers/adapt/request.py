"""Adapts a request in Anthropic's form to the model of another provider.

Fields are kept by a list of those that others know, so that a new field of Anthropic's never breaks the fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from neurolink_mitm.core.providers.adapt.blocks import merged, messages
from neurolink_mitm.core.providers.adapt.form import Adapted, Json, UnsupportedError
from neurolink_mitm.core.providers.adapt.ids import paired
from neurolink_mitm.core.providers.adapt.thinking import bound, think
from neurolink_mitm.core.providers.adapt.tools import client_tools, shorten
from neurolink_mitm.core.providers.pdf import Pdf
from neurolink_mitm.core.providers.traits import Traits

FIELDS = frozenset(
    {"messages", "system", "tools", "tool_choice", "max_tokens", "stop_sequences", "temperature",
     "top_p", "thinking", "stream"}
)  # fmt: skip
"""Fields that are kept; not `metadata` (the user's account), betas, service tiers, servers, cache marks."""


def adapt(request: Json, traits: Traits, pdfs: Mapping[str, Pdf] = MappingProxyType({})) -> Adapted:
    """Return the request as the model with these `traits` takes it, in Anthropic's form.

    `pdfs` has what is in those PDFs (`pdfs_in`, by their base64) that become text.

    Raises:
        UnsupportedError: this is no request of the Messages API.
    """
    try:
        return _adapt(request, traits, pdfs)
    except (AttributeError, KeyError, TypeError, RecursionError) as e:  # a value of another type
        raise UnsupportedError("The request has not the form of the Messages API.") from e


def _adapt(request: Json, traits: Traits, pdfs: Mapping[str, Pdf]) -> Adapted:
    names: dict[str, str] = {}
    adapted = {name: value for name, value in request.items() if name in FIELDS}
    adapted["messages"] = merged(messages(request.get("messages"), traits, pdfs))
    if "system" in adapted:
        adapted["system"] = _system(adapted["system"])
    adapted["tools"] = client_tools(adapted.get("tools"))
    if not adapted["tools"]:
        del adapted["tools"]
        adapted.pop("tool_choice", None)
    bound(adapted, traits.output_limit)
    think(adapted, request, traits)
    shorten(adapted, names, traits)
    adapted["messages"] = paired(adapted["messages"], traits.id_form)
    return Adapted(adapted, names)


def _system(system: Any) -> Any:
    """Join the system blocks: some providers join them without a space."""
    if not isinstance(system, list):
        return system
    return "\n\n".join(block["text"] for block in system if block.get("text"))
