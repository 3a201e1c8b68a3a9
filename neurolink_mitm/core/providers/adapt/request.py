"""Adapts a request in Anthropic's form to the model of another provider.

Fields are kept by a list of those that others know, so that a new field of Anthropic's never breaks the fallback.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from neurolink_mitm.core.providers.adapt.blocks import merged, messages
from neurolink_mitm.core.providers.adapt.check import check
from neurolink_mitm.core.providers.adapt.choice import choose
from neurolink_mitm.core.providers.adapt.fields import form, sample, stop
from neurolink_mitm.core.providers.adapt.form import Adapted, Json, UnsupportedError
from neurolink_mitm.core.providers.adapt.ids import paired
from neurolink_mitm.core.providers.adapt.thinking import bound, think
from neurolink_mitm.core.providers.adapt.tools import client_tools, describe, fewer, rename
from neurolink_mitm.core.providers.pdf import Pdf
from neurolink_mitm.core.providers.traits import Traits

FIELDS = frozenset(
    {"messages", "system", "tools", "tool_choice", "max_tokens", "stop_sequences", "temperature",
     "top_p", "top_k", "thinking", "stream"}
)  # fmt: skip
"""Fields that are kept; not `metadata` (the user's account), betas, service tiers, servers, cache marks."""

_BILLING = "x-anthropic-billing-header:"
"""Begins a system block of Claude Code's that is for Anthropic's accounting; LiteLLM leaves it out for Claude."""
BEGIN = "[the conversation begins with the answer]"


def adapt(request: Json, traits: Traits, pdfs: Mapping[str, Pdf] = MappingProxyType({})) -> Adapted:
    """Return the request as the model with these `traits` takes it, in Anthropic's form.

    `pdfs` has what is in those PDFs (`pdfs_in`, by their base64) that become text.

    Raises:
        UnsupportedError: this is no request of the Messages API.
    """
    check(request)
    try:
        return _adapt(request, traits, pdfs)
    except (AttributeError, KeyError, TypeError, RecursionError) as e:  # a value of another type
        raise UnsupportedError("The request has not the form of the Messages API.") from e


def _adapt(request: Json, traits: Traits, pdfs: Mapping[str, Pdf]) -> Adapted:
    adapted = {name: request[name] for name in FIELDS if request.get(name) is not None}
    adapted["messages"] = merged(messages(request["messages"], traits, pdfs))
    if not adapted["messages"]:
        raise UnsupportedError("messages: there is nothing to answer")
    tools, notes = fewer(client_tools(request.get("tools"), traits), request, traits)
    adapted["tools"] = tools
    names = rename(adapted, traits)
    words = [*choose(adapted, traits), *describe(adapted, traits)]
    bound(adapted, traits)
    sample(adapted, traits)
    stop(adapted, traits)
    think(adapted, request, traits)
    words += form(adapted, request, traits)
    if system := "\n\n".join((*_texts(adapted.pop("system", None)), *words)):
        adapted["system"] = system
    if traits.marks and _is_marked(request):
        adapted["cache_control"] = {"type": "ephemeral"}
    adapted["messages"] = paired(_opened(adapted["messages"]), traits)
    return Adapted(adapted, names, tuple(notes))


def _opened(turns: list[Json]) -> list[Json]:
    """Let the user begin: Gemini, Mistral and Bedrock refuse a conversation that the assistant begins."""
    if turns[0]["role"] == "user":
        return turns
    return [{"role": "user", "content": [{"type": "text", "text": BEGIN}]}, *turns]


def _is_marked(request: Json) -> bool:
    """Tell whether the client marks what should be cached."""
    blocks = [request, *_objects(request.get("system")), *_objects(request.get("tools"))]
    for message in _objects(request["messages"]):
        blocks += _objects(message.get("content"))
    return any(block.get("cache_control") for block in blocks)


def _objects(value: Any) -> list[Json]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _texts(system: Any) -> list[str]:
    """Return the texts of the system blocks: some providers join them without a space."""
    texts = [block.get("text") for block in system] if isinstance(system, list) else [system]
    return [text for text in texts if text and text.strip() and not text.startswith(_BILLING)]
