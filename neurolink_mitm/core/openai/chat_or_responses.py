"""Chat requests, also those whose body is a responses request: Cursor sends such to the chat path, and wants chat back.

https://forum.cursor.com/t/159298, https://docs.litellm.ai/docs/proxy/cursor
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.chat.calls import CallForm
from neurolink_mitm.core.openai.chat.request import chat_request
from neurolink_mitm.core.openai.chat.wire import StreamOptions
from neurolink_mitm.core.openai.claude import TraitsOf
from neurolink_mitm.core.openai.errors import UNSUPPORTED, RequestError
from neurolink_mitm.core.openai.reading import NULL
from neurolink_mitm.core.openai.responses.answer import ResponsesAnswer
from neurolink_mitm.core.openai.responses.request import responses_request
from neurolink_mitm.core.openai.responses.stored import StoredTurn
from neurolink_mitm.core.openai.translated import Translated


class _Shape(msgspec.Struct, gc=False):
    input: msgspec.Raw = NULL
    stream_options: StreamOptions | None = None


_shape = msgspec.json.Decoder(_Shape)


class _Nothing:
    """Nothing is stored for clients of chat."""

    def turns(self, response_id: str) -> Sequence[StoredTurn]:
        at = "previous_response_id"
        raise RequestError(f"Unsupported parameter: '{at}'.", at, UNSUPPORTED)

    def item(self, item_id: str) -> msgspec.Raw | None:
        return None


def chat_or_responses_request(body: bytes, traits: TraitsOf) -> Translated:
    """Return the Messages request, whose answer is a chat completion. Raises `RequestError`."""
    try:
        return chat_request(body, traits)
    except RequestError as e:
        shape = _shape_of(body) if e.param == "messages" else None
        if shape is None or shape.input == NULL:
            raise
    translated = responses_request(body, traits, _Nothing())
    answer, options = translated.answer, shape.stream_options
    assert isinstance(answer, ResponsesAnswer)
    customs = frozenset(name for name, tool in answer.tools.items() if tool.kind == "custom")
    usage = bool(options and options.include_usage)
    chat = ChatAnswer(answer.model, include_usage=usage, json=answer.json, calls=CallForm(customs))
    return replace(translated, answer=chat, pending=None)


def _shape_of(body: bytes) -> _Shape | None:
    try:
        return _shape.decode(body)
    except UNREADABLE:
        return None
