"""OpenAI's forms: whatever a client sends is translated or refused, and whatever upstream sends is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.chat.request import chat_request
from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.editors import StreamEditor
from neurolink_mitm.core.openai.embeddings import embeddings_request
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.answer import ResponsesAnswer
from neurolink_mitm.core.openai.responses.request import responses_request
from neurolink_mitm.core.openai.translated import AnswerFormat, Translated
from neurolink_mitm.core.request.body import read_body
from tools.fuzz.verdict import within_time

TRANSLATORS: Sequence[Callable[[bytes], Translated]] = (
    lambda data: chat_request(data, claude_traits),
    lambda data: responses_request(data, claude_traits, lambda _: None),
)
ANSWERS: Sequence[AnswerFormat] = (
    ChatAnswer("m", include_usage=True),
    ChatAnswer("m", json=True),
    ResponsesAnswer("m"),
)


def requests(data: bytes) -> None:
    """A body is refused, or becomes one that the route can read."""

    def call() -> None:
        for translate in TRANSLATORS:
            with suppress(RequestError):
                read_body(translate(data).body)
        with suppress(RequestError):
            embeddings_request(data)

    within_time(call, len(data), per_byte=1e-6)


def answers(chunks: Sequence[bytes]) -> None:
    """A streamed answer is the same however upstream's stream is cut, or can't be translated either way."""
    whole = b"".join(chunks)
    for form in ANSWERS:
        assert _written(form, chunks) == _written(form, [whole]), "it depends on how it is cut"

    def call() -> None:
        for form in ANSWERS:
            _written(form, chunks)

    within_time(call, len(whole), per_byte=4e-6)


def _written(form: AnswerFormat, chunks: Sequence[bytes]) -> bytes | None:
    editor = StreamEditor(form.stream("req_nl_1", 1))
    try:
        return b"".join((*map(editor.feed, chunks), editor.end()))
    except ValueError:
        return None
