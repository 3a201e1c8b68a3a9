"""The form of an answer of OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.responses.body import Body, repeated_members, response_id
from neurolink_mitm.core.openai.responses.client_tools import ClientTool
from neurolink_mitm.core.openai.responses.stream import ResponsesStream, WholeMessage

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
_DEFAULTS = repeated_members({})
_message = msgspec.json.Decoder(WholeMessage)


@dataclass(frozen=True, slots=True)
class ResponsesAnswer:
    """Writes the answers to one request."""

    model: str
    """The model that the client asked for."""
    repeated: bytes = field(default=_DEFAULTS, repr=False)
    """`repeated_members` of the request, made with it: a long one is read in a thread."""
    tools: Mapping[str, ClientTool] = field(default_factory=dict)
    """By their names in the Messages request; one that is missing is a function with the same name."""
    json: bool = False
    """`text.format` asks for JSON, by a schema or without: the client gets nothing but JSON, or an error."""

    def stream(self, request_id: str, created: int) -> ResponsesStream:
        """Return the writer of a streamed answer; `response` of it is what is stored."""
        body = Body(response_id(request_id), created, self.model, self.repeated)
        return ResponsesStream(body, self.tools, json=self.json)

    def whole(self, message: bytes, request_id: str, created: int) -> bytes:
        """Return the response object for a whole Messages answer.

        Raises `ValueError` where it is none, and `NotJsonError` where its text is no JSON though the client wants some.
        """
        try:
            decoded = _message.decode(message.decode())  # what is copied must be UTF-8, too
        except UNREADABLE as e:
            raise ValueError(f"no message that can be read: {e}") from e
        if decoded.type != "message":
            raise ValueError(f"a {decoded.type}, no message")
        return self.stream(request_id, created).whole(decoded, message)
