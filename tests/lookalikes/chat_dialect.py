"""How a server that speaks OpenAI's Chat Completions differs from OpenAI: what it takes, and how it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.lookalikes import schemas
from tests.lookalikes.script import Call, Json
from tests.lookalikes.server import Refused

Path = tuple[str | int, ...]
"""Where something stands in a body: `("messages", 0, "content")`."""
Check = Callable[["Dialect", Json], None]
"""Looks at a whole body. Raises Refused."""


def dotted(path: Path) -> str:
    """Return `messages[0].content`, as OpenAI writes it."""
    parts = (f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    return "".join(parts).lstrip(".")


def openai_unknown(path: Path, names: Collection[str]) -> Refused:
    """Return OpenAI's refusal of members that it doesn't know."""
    if not path:
        return Refused(400, f"Unrecognized request argument supplied: {', '.join(sorted(names))}")
    where = f"{dotted(path)}.{min(names)}"
    return Refused(400, f"Unknown parameter: '{where}'.", param=where, code="unknown_parameter")


def openai_error(status: int, message: str, **detail: Any) -> Json:
    kind, code = _TYPES.get(status, ("server_error" if status >= 500 else "api_error", None))
    return {
        "error": {
            "message": message,
            "type": kind,
            "param": detail.get("param"),
            "code": detail.get("code", code),
        }
    }


_TYPES = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("tokens", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}

FIELDS = frozenset(
    """
audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens
max_tokens messages metadata modalities model n parallel_tool_calls prediction presence_penalty
prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed
service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user
verbosity web_search_options
    """.split()  # noqa: SIM905 - 36 lines otherwise
)
MESSAGE: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "assistant": frozenset(
        {"role", "content", "name", "tool_calls", "refusal", "audio", "function_call"}
    ),
    "tool": frozenset({"role", "content", "tool_call_id"}),
}
PARTS: Mapping[str, tuple[str, ...]] = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
}


@dataclass(frozen=True)
class Habits:
    """How a server answers."""

    reasoning: str | None = None
    """The member in which it tells its reasoning; OpenAI tells none."""
    call_id: Callable[[int, int, Call], str] = lambda number, index, call: f"call_{number}x{index}"
    """By the number of the answer, of the call in it, and the call."""
    usage: Literal["asked", "last"] = "asked"
    """In a chunk of its own if `stream_options` ask for it; or always in that which tells the reason."""
    whole_calls: bool = False
    """A call's arguments come in one piece."""
    finish: Mapping[str, str] = field(
        default_factory=lambda: {"stop": "stop", "length": "length", "filter": "content_filter"}
    )
    refusals: bool = True
    """There is a member `refusal`."""
    comment: bytes = b""
    """Sent before anything else."""
    late_status: int | None = None
    """An error within a stream comes in a chunk with this status, and an empty choice."""


@dataclass(frozen=True)
class Dialect:
    """What a server takes."""

    fields: frozenset[str] = FIELDS
    messages: Mapping[str, frozenset[str]] = field(default_factory=lambda: MESSAGE)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: PARTS)
    unknown: Callable[[Path, Collection[str]], Refused] | None = openai_unknown
    """The refusal of members it doesn't know; None: it passes over them."""
    ids: re.Pattern[str] = re.compile(r"[\s\S]{1,40}")
    wrong_id: str = (
        "Invalid '{where}': string too long. Expected a string with maximum length 40, but got a"
        " string with length {length} instead."
    )
    names: re.Pattern[str] = re.compile(r"[a-zA-Z0-9_-]{1,64}")
    wrong_name: str = (
        "Invalid '{where}': string does not match pattern. Expected a string that matches the"
        " pattern '^[a-zA-Z0-9_-]+$'."
    )
    most_tools: int | None = 128
    too_many_tools: str = (
        "Invalid 'tools': array too long. Expected an array with maximum length {most}, but got an"
        " array with length {count} instead."
    )
    most_stops: int | None = 4
    choices: frozenset[str] = frozenset({"none", "auto", "required"})
    named_choice: bool = True
    """`tool_choice` may name a tool."""
    formats: frozenset[str] = frozenset({"text", "json_object", "json_schema"})
    wrong_format: str = "Invalid value: '{kind}'. Supported values are: 'text', 'json_object'."
    schema: Callable[[object, object], None] = schemas.openai
    links: bool = True
    """Images may be given by their address."""
    null_content: bool = True
    """A message that calls tools may have no content."""
    status: int = 400
    """Of what has the wrong form."""
    more: tuple[Check, ...] = ()
    """Its own rules."""
    error: Callable[..., Json] = openai_error
    habits: Habits = field(default_factory=Habits)

    def known(self, value: object, names: Collection[str], path: Path) -> Json:
        """Return `value`, an object, all of whose members are known. Raises Refused."""
        if not isinstance(value, dict):
            raise Refused(self.status, f"Invalid type for '{dotted(path)}': expected an object.")
        strange = set(value) - set(names)
        if strange and self.unknown:
            raise self.unknown(path, strange)
        return value
