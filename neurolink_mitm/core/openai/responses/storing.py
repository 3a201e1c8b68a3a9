"""Hands a response over to be stored, once it is complete: not one that fails, or whose client has left before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from neurolink_mitm.core.openai.claude import TraitsOf
from neurolink_mitm.core.openai.responses.answer import ResponsesAnswer
from neurolink_mitm.core.openai.responses.request import responses_request
from neurolink_mitm.core.openai.responses.stored import Memory
from neurolink_mitm.core.openai.translated import (
    AnswerFormat,
    StreamWriter,
    Translate,
    Translated,
)

Store = Callable[[bytes], object]
"""Stores the JSON of a response."""


def storing_translator(memory: Memory, client: str, now: Callable[[], float]) -> Translate:
    """Return what translates the requests of a client, whose responses are stored in `memory`."""

    def translate(body: bytes, traits: TraitsOf) -> Translated:
        translated = responses_request(body, traits, memory.of(client, now()))
        pending, answer = translated.pending, translated.answer
        if pending is None or not isinstance(answer, ResponsesAnswer):
            return translated
        stored = StoredAnswer(answer, lambda done: memory.keep(client, pending, done, now()))
        return replace(translated, answer=stored)

    return translate


class _ResponseWriter(StreamWriter, Protocol):
    response: bytes | None
    """The response, once it is complete."""


class ResponseFormat(AnswerFormat, Protocol):
    """A form whose streams end in the JSON of the whole response."""

    def stream(self, request_id: str, created: int) -> _ResponseWriter: ...


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer that is stored."""

    answer: ResponseFormat
    store: Store

    def stream(self, request_id: str, created: int) -> StreamWriter:
        return _StoredStream(self.answer.stream(request_id, created), self.store)

    def whole(self, message: bytes, request_id: str, created: int) -> bytes:
        response = self.answer.whole(message, request_id, created)
        self.store(response)
        return response


class _StoredStream:
    def __init__(self, writer: _ResponseWriter, store: Store) -> None:
        self._writer = writer
        self._store: Store | None = store

    def event(self, name: str, data: bytes) -> bytes:
        written = self._writer.event(name, data)
        if self._store and self._writer.response is not None:
            self._store(self._writer.response)
            self._store = None
        return written

    def end(self) -> bytes:
        return self._writer.end()
