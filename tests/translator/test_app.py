from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest

from neurolink_mitm.core.providers.adapt import Adapted
from neurolink_mitm.core.providers.errors import ProviderError
from neurolink_mitm.core.providers.translator import NOTE_HEADER, Access, Setup
from neurolink_mitm.core.response.sse import KEEP_ALIVE as COMMENT
from neurolink_mitm.translator.app import make_app
from neurolink_mitm.translator.engine import Question
from tests.anthropic_stream import validate

Json = dict[str, Any]
LIMIT = 10.0
KNOWN = {"authorization": "Bearer test-secret", "x-neurolink-provider": "openai",
         "x-neurolink-model": "a%2Fb"}  # fmt: skip

START: Json = {"type": "message_start", "message": {"usage": {"input_tokens": 3}}}
OPEN: Json = {
    "type": "content_block_start",
    "index": 0,
    "content_block": {"type": "text", "text": ""},
}
STOP: Json = {"type": "content_block_stop", "index": 0}
END: list[Json] = [
    STOP,
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]
PDF: Json = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "eA=="},
}
CALL: Json = {
    "type": "content_block_start",
    "content_block": {"type": "tool_use", "id": "t", "name": "n"},
}


ASKED: Json = {"model": "claude-opus-4-8"}


@pytest.mark.parametrize(
    ("model", "body", "name"),
    [("gpt-5", ASKED, "gpt-5"), ("eu.anthropic.claude-y", ASKED, "claude-opus-4-8"),
     ("eu.anthropic.claude-y", {"model": 5}, "eu.anthropic.claude-y")],
    ids=["another", "a Claude", "no name"],
)  # fmt: skip
def test_the_model_that_answers_is_named(model: str, body: Json, name: str) -> None:
    """But for a Claude on a cloud: Claude Code would go on with it when the accounts are back."""
    assert Question("x", model, Access(), body).answers_as == name


RANDOM_ID = "call_d5wgY2hPq9sXk0a8Lm3Tz1Bv"


def text(words: str) -> Json:
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": words}}


def piece(part: str) -> Json:
    return {
        "type": "content_block_delta",
        "delta": {"type": "input_json_delta", "partial_json": part},
    }


@dataclass
class FakeEngine:
    """Gives events, waits, and raises, as it is told: a number is seconds, None is for ever."""

    events: Sequence[Json | float | Exception | None] = ()
    answer: Json | Exception = field(default_factory=dict)
    asked: list[Question] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: asyncio.Event = field(default_factory=asyncio.Event)

    async def adapted(self, question: Question, *, documents: bool = True) -> Adapted:
        self.asked.append(question)
        if question.body.get("refuse"):
            raise ProviderError(400, "takes no such thing")
        notes = ("größe is left out",) if question.body.get("large") else ()
        return Adapted({"adapted": True}, {"short": "long"}, notes)

    async def ask(self, question: Question, request: Json) -> Json:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def stream(self, question: Question, request: Json) -> AsyncIterator[Json]:
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, dict):
                    yield event
                    continue
                self.waiting.set()
                await asyncio.sleep(600 if event is None else event)
        finally:
            self.closed.set()

    def count(self, question: Question) -> int:
        return 42


class Asking:
    """One request to the app, as a server would hand it on."""

    def __init__(self, engine: FakeEngine, keep_alive: float = 600) -> None:
        setup = Setup("test-secret", {"openai": Access("test-key", "http://x")})
        self._app = make_app(engine, lambda: setup, keep_alive)
        self.sent: asyncio.Queue[Json] = asyncio.Queue()
        self.left = asyncio.Event()
        self.said: list[Json] = []

    async def ask(
        self,
        body: Json | bytes,
        path: str = "/v1/messages",
        headers: dict[str, str] | None = None,
        method: str = "POST",
    ) -> None:
        """To its end."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        parts = iter([{"type": "http.request", "body": raw, "more_body": False}])

        async def receive() -> Any:
            if (part := next(parts, None)) is not None:
                return part
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.said.append(message)
            await self.sent.put(message)

        shown = KNOWN if headers is None else headers
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": b"", "root_path": "", "scheme": "http", "http_version": "1.1",
            "headers": [(k.encode(), v.encode()) for k, v in shown.items()],
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }  # fmt: skip
        async with asyncio.timeout(LIMIT):
            await self._app(scope, receive, send)

    @property
    def status(self) -> int:
        return int(self.said[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.said[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(part.get("body", b"") for part in self.said[1:])

    @property
    def error(self) -> tuple[int, str, str]:
        error = json.loads(self.body)["error"]
        return self.status, error["type"], error["message"]

    async def until(self, part: bytes) -> None:
        """What was sent holds this."""
        async with asyncio.timeout(LIMIT):
            while part not in self.body:
                await self.sent.get()


async def streamed(*events: Json | float | Exception | None, **more: Any) -> Asking:
    asking = Asking(FakeEngine(events), **more)
    await asking.ask({"stream": True})
    return asking


async def test_a_stream() -> None:
    asking = await streamed(START, OPEN, text("hi"), *END)
    assert asking.headers["content-type"].startswith("text/event-stream")
    message = validate(asking.body)
    assert (message.text, message.model, message.stop_reason) == ("hi", "a/b", "end_turn")


async def test_who_asks_and_for_what_is_handed_on() -> None:
    engine = FakeEngine([START, OPEN, text("hi"), *END])
    await Asking(engine).ask({"stream": True, "x": 1})
    (asked,) = engine.asked
    assert (asked.provider, asked.model, asked.body) == ("openai", "a/b", {"stream": True, "x": 1})
    assert asked.access.api_key == "test-key"


async def test_there_is_no_head_before_there_is_something_to_say() -> None:
    engine = FakeEngine([START, OPEN, None])
    asking = Asking(engine)
    working = asyncio.create_task(asking.ask({"stream": True}))
    await engine.waiting.wait()
    assert asking.said == []
    asking.left.set()
    await working


@pytest.mark.parametrize("before", [[], [START], [START, OPEN], [START, OPEN, STOP]])
async def test_a_failure_before_that_has_a_status_of_its_own(before: list[Json]) -> None:
    asking = await streamed(*before, ProviderError(429, "slowly", "7"))
    assert asking.error == (429, "rate_limit_error", "slowly")
    assert asking.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    "events", [[], [START], [START, OPEN, *END]], ids=["end", "start", "words"]
)
async def test_an_answer_that_says_nothing_is_a_failure(events: list[Json]) -> None:
    asking = await streamed(*events)
    assert asking.error == (502, "api_error", "openai gave an empty answer")


@pytest.mark.parametrize(
    "end", [(), (ProviderError(500, "litellm: boom"),), (OSError("boom"),)],
    ids=["silent", "told", "unknown"],
)  # fmt: skip
async def test_a_stream_that_breaks_off_ends_in_an_error_event(end: tuple[Any, ...]) -> None:
    asking = await streamed(START, OPEN, text("hi"), *end)
    message = validate(asking.body, allow_error=True)
    assert message.error
    assert message.error["type"] == "overloaded_error"
    assert b"boom" not in asking.body


async def test_silence_is_filled_with_comments() -> None:
    asking = await streamed(START, OPEN, text("hi"), 0.3, *END, keep_alive=0.05)
    assert 2 <= asking.body.count(COMMENT) <= 6
    assert validate(asking.body).text == "hi"


async def test_so_is_the_time_in_which_a_tools_input_is_written() -> None:
    """Each piece comes soon, and none of them is given before the call is whole."""
    pieces = [event for part in '{"a": "bcdefghijkl"}' for event in (piece(part), 0.02)]
    asking = await streamed(START, CALL, *pieces, STOP, *END[1:], keep_alive=0.1)
    assert asking.body.count(COMMENT) >= 2
    (use,) = validate(asking.body).tool_uses
    assert use["input"] == {"a": "bcdefghijkl"}


async def test_the_head_does_not_wait_for_the_end_of_a_tools_input() -> None:
    engine = FakeEngine([START, CALL, piece("{"), None])
    asking = Asking(engine)
    working = asyncio.create_task(asking.ask({"stream": True}))
    await asking.until(b"message_start")
    asking.left.set()
    await working


@pytest.mark.parametrize(
    "events", [[START, None], [START, OPEN, text("hi"), None]], ids=["before", "between words"]
)
async def test_a_client_that_leaves_ends_what_was_asked(events: list[Json | None]) -> None:
    engine = FakeEngine(events)
    asking = Asking(engine)
    working = asyncio.create_task(asking.ask({"stream": True}))
    await engine.waiting.wait()
    asking.left.set()
    await working
    assert engine.closed.is_set()


async def test_a_stream_that_is_over_is_closed() -> None:
    engine = FakeEngine([START, OPEN, text("hi"), *END, None])
    await Asking(engine).ask({"stream": True})
    assert engine.closed.is_set()


async def test_a_whole_answer() -> None:
    use = {
        "type": "tool_use",
        "id": RANDOM_ID,
        "name": "short",
        "input": {},
        "provider_specific": 1,
    }
    engine = FakeEngine(answer={"content": [use], "stop_reason": "end_turn"})
    asking = Asking(engine)
    await asking.ask({})
    told = json.loads(asking.body)
    assert told["content"] == [{"type": "tool_use", "id": RANDOM_ID, "name": "long", "input": {}}]
    assert (told["model"], told["stop_reason"]) == ("a/b", "tool_use")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
async def test_a_call_gets_no_id_that_is_in_the_history(stream: bool, known: bool) -> None:
    use = {"type": "tool_use", "id": RANDOM_ID, "name": "n", "input": {}}
    events = [START, {"type": "content_block_start", "content_block": use}, *END]
    asking = Asking(FakeEngine(events, {"content": [use], "stop_reason": "tool_use"}))
    content = [use] if known else []
    await asking.ask({"stream": stream, "messages": [{"role": "assistant", "content": content}]})
    assert (RANDOM_ID.encode() in asking.body) == (not known)


class TakesNoPdf(FakeEngine):
    """Refuses a request with a PDF in it."""

    async def adapted(self, question: Question, *, documents: bool = True) -> Adapted:
        content = [PDF] if documents else [{"type": "text", "text": "its text"}]
        self.asked.append(question)
        return Adapted({"messages": [{"role": "user", "content": content}]}, {})

    async def ask(self, question: Question, request: Json) -> Json:
        self._refuse(request)
        return await super().ask(question, request)

    async def stream(self, question: Question, request: Json) -> AsyncIterator[Json]:
        self._refuse(request)
        async for event in super().stream(question, request):
            yield event

    def _refuse(self, request: Json) -> None:
        if "its text" not in str(request) or self.refusal.status == 529:
            raise self.refusal

    refusal = ProviderError(400, "no PDF")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("status", [400, 413, 422])
async def test_who_refuses_a_pdf_is_asked_with_its_text(stream: bool, status: int) -> None:
    said = {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}
    engine = TakesNoPdf([START, OPEN, text("hi"), *END], said)
    engine.refusal = ProviderError(status, "no PDF")
    asking = Asking(engine)
    await asking.ask({"stream": stream})
    assert asking.status == 200, asking.body
    assert len(engine.asked) == 2


async def test_who_fails_otherwise_is_not_asked_again() -> None:
    engine = TakesNoPdf()
    engine.refusal = ProviderError(529, "busy")
    asking = Asking(engine)
    await asking.ask({})
    assert asking.error == (529, "overloaded_error", "busy")
    assert len(engine.asked) == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_left_out_is_in_the_head(stream: bool) -> None:
    engine = FakeEngine(
        [START, OPEN, text("hi"), *END], {"content": [{"type": "text", "text": "hi"}]}
    )
    asking = Asking(engine)
    await asking.ask({"stream": stream, "large": True})
    assert unquote(asking.headers[NOTE_HEADER]) == "größe is left out"


async def test_a_number_that_is_none_is_refused() -> None:
    asking = Asking(FakeEngine())
    await asking.ask(b'{"temperature": NaN}')
    assert asking.error[0] == 400


async def test_half_a_surrogate_pair_can_be_sent_on() -> None:
    engine = FakeEngine([START, OPEN, text("hi"), *END])
    await Asking(engine).ask(
        b'{"stream": true, "a": "x\\ud83d", "\\uDE00": 1, "b": "\\ud83d\\ude00"}'
    )
    assert engine.asked[0].body == {"stream": True, "a": "x?", "?": 1, "b": "\U0001f600"}


async def test_a_whole_answer_that_fails() -> None:
    asking = Asking(FakeEngine(answer=ProviderError(503, "busy")))
    await asking.ask({})
    assert asking.error == (503, "overloaded_error", "busy")


async def test_a_whole_answer_that_says_nothing() -> None:
    asking = Asking(FakeEngine(answer={"content": []}))
    await asking.ask({})
    assert asking.status == 502


@pytest.mark.parametrize("stream", [True, False])
async def test_what_can_not_be_adapted_is_refused(stream: bool) -> None:
    asking = Asking(FakeEngine())
    await asking.ask({"refuse": True, "stream": stream})
    assert asking.error == (400, "invalid_request_error", "takes no such thing")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "shown", ["", "Bearer ", "Bearer wrong", "Bearer test-secret2", "Bearer é"]
)
async def test_who_does_not_know_the_secret_is_refused(path: str, shown: str) -> None:
    engine = FakeEngine()
    asking = Asking(engine)
    await asking.ask({}, path, {**KNOWN, "authorization": shown})
    assert asking.error[:2] == (403, "permission_error")
    assert engine.asked == []


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b"[" * 100_000],
    ids=["none", "half", "list", "text", "deep"],
)
async def test_what_is_no_json_object_is_refused(path: str, body: bytes) -> None:
    asking = Asking(FakeEngine())
    await asking.ask(body, path)
    assert asking.error[:2] == (400, "invalid_request_error")


async def test_tokens_are_counted() -> None:
    asking = Asking(FakeEngine())
    await asking.ask({}, "/v1/messages/count_tokens")
    assert json.loads(asking.body) == {"input_tokens": 42}


async def test_health_is_open_to_all() -> None:
    asking = Asking(FakeEngine())
    await asking.ask(b"", "/health", {}, "GET")
    assert (asking.status, json.loads(asking.body)) == (200, {"status": "ok"})
