"""The form of an answer of OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

REPEATED = (
    "background",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)
"""Members of a request that its response repeats."""
CUSTOM_INPUT = "input"
"""The only member of a custom tool's call in a Messages request: the text that the tool gets."""

ToolKind = Literal["function", "custom", "local_shell", "tool_search"]
"""Decides the type of the output item of a call. A custom tool takes text instead of JSON."""


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool as the client named it."""

    name: str
    namespace: str | None = None
    kind: ToolKind = "function"


@dataclass(frozen=True, slots=True)
class ResponsesAnswer:
    """Writes the answers to one request."""

    model: str
    """The model that the client asked for."""
    repeated: Mapping[str, msgspec.Raw] = field(default_factory=dict, repr=False)
    """The members of the request that are in `REPEATED`, as they came. Absent ones get OpenAI's defaults."""
    tools: Mapping[str, ClientTool] = field(default_factory=dict)
    """By their names in the Messages request; one that is missing is a function with the same name."""


def response_id(request_id: str) -> str:
    """Return the id of the response to a request."""
    return f"resp_{request_id.rpartition('_')[2]}"
