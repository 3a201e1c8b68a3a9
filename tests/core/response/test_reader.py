from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.response.reader import (
    EVENT_LIMIT,
    HOLD_LIMIT,
    READ_LIMIT,
    EventStreamReader,
    OpaqueReader,
    ResponseReader,
    WholeReader,
    carries_content,
    text_size,
)
from neurolink_mitm.core.response.sse import SseEvent, SseReader, encode

BAD_JSON = [b"", b"no", b"[]", b'{"content_block":3}', b'{"content_block":{"type":"\xff"}}',
            b'{"content_block":' + b"[" * 200_000]  # fmt: skip
BAD_IDS = ["empty", "text", "list", "number", "no-utf-8", "deep"]


def event(name: str, **data: Any) -> bytes:
    return encode(name, json.dumps({"type": name, **data}).encode())


def error(error_type: str) -> bytes:
    return event("error", error={"type": error_type, "message": "why"})


def block(block_type: str) -> bytes:
    return event("content_block_start", index=0, content_block={"type": block_type})


START = event("message_start", message={"model": "claude-x", "usage": {"input_tokens": 7}})
PING = event("ping")
TEXT = event("content_block_delta", delta={"type": "text_delta", "text": "Hel\u00e9"})
BLOCK_STOP = event("content_block_stop", index=0)
DELTA = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 3})
STOP = event("message_stop")
BOM = b"\xef\xbb\xbf"
STREAM = START + PING + block("text") + TEXT + TEXT + BLOCK_STOP + DELTA + STOP


def fed(*chunks: bytes) -> EventStreamReader:
    answer = EventStreamReader()
    for chunk in chunks:
        answer.feed(chunk)
    return answer


def nameless(stream: bytes) -> bytes:
    return b"\n".join(line for line in stream.split(b"\n") if not line.startswith(b"event:"))


def names(stream: bytes) -> list[str]:
    return [event.name for event in SseReader().feed(stream)]


# --- an answer that is not ours to judge


def test_an_opaque_answer_goes_out_as_it_comes() -> None:
    assert OpaqueReader().feed(b"\x1f\x8b") == b"\x1f\x8b"


def test_an_opaque_answer_is_released_before_its_first_byte() -> None:
    answer = OpaqueReader()
    assert (answer.released, answer.started) == (True, True)


def test_an_opaque_answer_is_complete_at_its_end() -> None:
    answer = OpaqueReader()
    assert (answer.complete, answer.end(), answer.complete) == (False, b"", True)


def test_an_opaque_answer_that_is_cut_can_not_be_closed_well() -> None:
    answer = OpaqueReader()
    assert answer.cut("reset") is None
    assert (answer.complete, answer.failure) == (False, None)


# --- a whole answer


def whole(status: int = 200, *, may_be_empty: bool = False) -> WholeReader:
    return WholeReader(status, may_be_empty=may_be_empty)


def test_a_whole_answer_is_held_until_its_end() -> None:
    answer = whole()
    answer.feed(b'{"id":1}')
    assert not answer.released
    answer.end()
    assert answer.released


def test_a_whole_answer_is_complete_at_its_end() -> None:
    answer = whole()
    answer.feed(b"{}")
    assert (answer.started, answer.complete, answer.error) == (False, False, "")
    answer.end()
    assert answer.complete


def test_a_whole_answer_passes_its_bytes_on() -> None:
    answer = whole()
    assert answer.feed(b'{"id"') + answer.feed(b":1}") + answer.end() == b'{"id":1}'


def test_a_whole_answer_tells_its_usage() -> None:
    answer = whole()
    answer.feed(b'{"model":"claude-x","usage":')
    answer.feed(b'{"input_tokens":7,"output_tokens":3}}')
    answer.end()
    usage = answer.usage
    assert (usage.model, usage.input_tokens, usage.output_tokens) == ("claude-x", 7, 3)


def test_an_error_answer_is_a_failure_at_its_end() -> None:
    answer = whole(529)
    answer.feed(error("overloaded_error").partition(b"data: ")[2])
    assert answer.failure is None
    answer.end()
    assert answer.failure == Failure(FailureStage.STATUS, 529, "overloaded_error", "why")
    assert not answer.released


@pytest.mark.parametrize(
    ("status", "failed"), [(200, False), (302, False), (399, False), (400, True), (599, True)]
)
def test_from_400_on_an_answer_is_a_failure(status: int, failed: bool) -> None:
    answer = whole(status)
    answer.feed(b"x")
    answer.end()
    assert (answer.failure is not None, answer.released) == (failed, not failed)


@pytest.mark.parametrize("may_be_empty", [True, False], ids=["may", "must-not"])
def test_an_empty_answer(may_be_empty: bool) -> None:
    answer = whole(may_be_empty=may_be_empty)
    answer.end()
    assert answer.released is may_be_empty
    empty = Failure(FailureStage.EMPTY, None, "empty_answer", "upstream sent no byte")
    assert answer.failure == (None if may_be_empty else empty)


@pytest.mark.parametrize(("more", "released"), [(0, False), (1, True)], ids=["at", "over"])
def test_an_answer_over_the_limit_is_not_held_any_longer(more: int, released: bool) -> None:
    answer = whole()
    answer.feed(bytes(HOLD_LIMIT - 1))
    answer.feed(bytes(1 + more))
    assert answer.released is released


def test_what_comes_over_the_limit_is_passed_on() -> None:
    answer = whole()
    answer.feed(bytes(HOLD_LIMIT + 1))
    assert answer.feed(b"more") == b"more"


@pytest.mark.parametrize(
    ("size", "told"), [(HOLD_LIMIT + 1, 7), (READ_LIMIT, None)], ids=["long", "endless"]
)
def test_the_tokens_of_a_long_answer_are_read_up_to_a_limit(size: int, told: int | None) -> None:
    answer = whole()
    body = b'{"content":"%s","usage":{"input_tokens":7}}' % (b"x" * size)
    for start in range(0, len(body), 65536):
        answer.feed(body[start : start + 65536])
    answer.end()
    assert answer.released
    assert answer.usage.input_tokens == told


def test_an_error_answer_over_the_limit_is_an_error_at_once() -> None:
    answer = whole(500)
    answer.feed(bytes(HOLD_LIMIT + 1))
    assert answer.failure == Failure(FailureStage.STATUS, 500, "http_500", "\0" * 300)
    assert not answer.released


def test_a_page_over_the_limit_is_a_failure_at_once() -> None:
    answer = whole()
    answer.feed(b"<html>" + bytes(HOLD_LIMIT))
    assert answer.failure
    assert not answer.released


HOLLOW = {
    "error": (b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', "overloaded_error", "m"),
    "limit": (b' {"error":{"type":"rate_limit_error"},"type":"error"}\n', "rate_limit_error", ""),
    "mark": (b'\xef\xbb\xbf{"type":"error","error":{"type":"x","message":"m"}}', "x", "m"),
    "untyped": (b'{"type":"error","error":"down"}', "api_error", '{"type":"error","error":"down"}'),
    "page": (b"\r\n<!DOCTYPE html><p>", "api_error", "a page: <!DOCTYPE html><p>"),
    "html": (b"<HTML>no", "api_error", "a page: <HTML>no"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [whole, EventStreamReader], ids=["whole", "stream"])
@pytest.mark.parametrize(("body", "error_type", "message"), HOLLOW.values(), ids=HOLLOW)
def test_an_error_or_a_page_in_place_of_an_answer(
    kind: Callable[[], ResponseReader], body: bytes, error_type: str, message: str
) -> None:
    answer = kind()
    for byte in body:
        answer.feed(bytes([byte]))
    answer.end()
    assert answer.failure == Failure(FailureStage.EVENT, None, error_type, message)
    assert not answer.released


@pytest.mark.parametrize(
    "body",
    [b'{"type":"message","content":[]}', b'{"type":"error"}', b'{"error":{"type":"x"}}', b"[]",
     b'{"input_tokens":7}', b'{"type":["error"],"error":{}}', b"<svg>", b'"<html>"', b"{" * 100_000],
    ids=["message", "no-error", "no-type", "list", "count", "odd-type", "svg", "string", "deep"],
)  # fmt: skip
def test_any_other_body_is_an_answer(body: bytes) -> None:
    answer = whole()
    answer.feed(body)
    answer.end()
    assert answer.released


def test_a_body_that_is_not_judged_may_be_anything() -> None:
    answer = WholeReader(200, may_be_empty=True, judged=False)
    answer.feed(HOLLOW["error"][0])
    answer.end()
    assert answer.released


@pytest.mark.parametrize("status", [200, 399])
def test_a_whole_answer_that_is_cut_while_held_can_be_asked_for_again(status: int) -> None:
    answer = whole(status)
    answer.feed(b'{"id"')
    assert answer.cut("reset") is None
    assert answer.failure == Failure(FailureStage.NETWORK, None, "cut", "reset")
    assert not answer.complete


@pytest.mark.parametrize("status", [400, 429])
def test_an_error_answer_that_is_cut_is_still_that_error(status: int) -> None:
    answer = whole(status)
    answer.feed(b"slow")
    answer.feed(b" do")
    answer.cut("reset")
    assert answer.failure == Failure(FailureStage.STATUS, status, f"http_{status}", "slow do")


def test_a_released_answer_that_is_cut_is_no_failure() -> None:
    answer = whole()
    answer.feed(bytes(HOLD_LIMIT + 1))
    assert answer.cut("reset") is None
    assert (answer.failure, answer.complete) == (None, False)


# --- a stream: until its first content


@pytest.mark.parametrize(
    ("stream", "started", "released"),
    [
        (b"", False, False),
        (b": keep-alive\n\n", False, False),
        (START[:-1], False, False),
        (START, True, False),
        (PING, False, False),
        (START + PING + BLOCK_STOP, True, False),
        (START + block("text"), True, False),
        (START + block("thinking"), True, False),
        (START + block("tool_use"), True, True),
        (START + block("text") + TEXT, True, True),
        (START + block("text") + TEXT[:-1], True, False),
        (START + DELTA, True, True),
        (START + event("news"), True, True),
        (b"data: {}\n\n", True, True),
        (START + error("api_error"), True, False),
        (nameless(START + PING), True, False),
        (nameless(START + TEXT), True, True),
    ],
    ids=["nothing", "comment", "half-a-start", "start", "ping", "leading", "empty-text",
         "empty-thinking", "tool", "text", "half-a-text", "delta", "unknown", "nameless", "error", "nameless-start",
         "nameless-text"],
)  # fmt: skip
def test_a_stream_is_held_until_its_first_content(
    stream: bytes, started: bool, released: bool
) -> None:
    answer = fed(stream)
    assert (answer.started, answer.released) == (started, released)


@pytest.mark.parametrize(
    ("name", "data", "content"),
    [
        ("message_start", b"{}", False),
        ("ping", b"{}", False),
        ("content_block_stop", b"{}", False),
        ("content_block_start", b'{"content_block":{"type":"text","text":""}}', False),
        ("content_block_start", b'{"content_block":{"type":"thinking"}}', False),
        ("content_block_start", b'{"content_block":{"type":"server_tool_use"}}', True),
        ("content_block_start", b'{"content_block":{}}', True),
        ("content_block_start", b"{}", True),
        ("content_block_delta", b'{"content_block":{"type":"text"}}', True),
        ("message_delta", b"{}", True),
        ("message_stop", b"{}", True),
        ("message", b"{}", True),
    ],
)
def test_what_carries_content(name: str, data: bytes, content: bool) -> None:
    assert carries_content(SseEvent(name, data)) is content


@pytest.mark.parametrize("data", BAD_JSON, ids=BAD_IDS)
def test_a_block_that_can_not_be_read_may_carry_content(data: bytes) -> None:
    assert carries_content(SseEvent("content_block_start", data))


def test_a_stream_passes_its_bytes_on_while_it_is_held() -> None:
    """The caller keeps them, and drops them if it comes to nothing."""
    answer = EventStreamReader()
    assert answer.feed(START + PING) == START + PING


def test_an_error_before_content_is_a_failure() -> None:
    answer = fed(START + PING, error("overloaded_error"))
    assert answer.failure == Failure(FailureStage.EVENT, None, "overloaded_error", "why")
    assert answer.error == ""


@pytest.mark.parametrize("form", ["named", "nameless"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("wanting", [0, 1, 2])
def test_an_error_before_content_in_any_form(form: str, end: bytes, wanting: int) -> None:
    stream = START + error("rate_limit_error")
    stream = nameless(stream) if form == "nameless" else stream
    answer = fed(stream.replace(b"\n", end).removesuffix(end * wanting))
    answer.end()
    assert answer.failure == Failure(FailureStage.EVENT, None, "rate_limit_error", "why")


def test_the_first_error_counts() -> None:
    answer = fed(error("rate_limit_error"), error("api_error"))
    assert answer.failure is not None
    assert answer.failure.error_type == "rate_limit_error"


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b"", "empty_stream"),
        (b": keep-alive\n\n", "empty_stream"),
        (START[:-3], "empty_stream"),
        (START, "cut_before_content"),
        (START[:-1], "cut_before_content"),
        (START + block("text") + TEXT[:-3], "cut_before_content"),
    ],
    ids=["nothing", "comment", "half-a-start", "start", "unended-start", "half-a-text"],
)
def test_a_stream_that_ends_before_content_is_a_failure(stream: bytes, kind: str) -> None:
    answer = fed(stream)
    answer.end()
    assert answer.failure == Failure(
        FailureStage.EMPTY, None, kind, "the stream ended before any content"
    )


def test_a_stream_that_is_cut_before_content_is_a_failure() -> None:
    answer = fed(START)
    answer.cut("reset")
    assert answer.failure == Failure(FailureStage.NETWORK, None, "cut", "reset")


@pytest.mark.parametrize(
    "ending", [EventStreamReader.end, lambda a: a.cut("reset")], ids=["end", "cut"]
)
def test_how_it_ends_does_not_hide_the_error_before(ending: Any) -> None:
    answer = fed(error("rate_limit_error"))
    ending(answer)
    assert answer.failure is not None
    assert answer.failure.error_type == "rate_limit_error"


# --- a stream: after its first content


def test_a_stream_tells_its_usage() -> None:
    usage = fed(STREAM).usage
    assert (usage.model, usage.stop_reason) == ("claude-x", "end_turn")
    assert (usage.input_tokens, usage.output_tokens) == (7, 3)


@pytest.mark.parametrize(
    ("stream", "complete"), [(STREAM, True), (STREAM[:-1], False), (STREAM[: -len(STOP)], False)],
    ids=["whole", "half-a-stop", "no-stop"],
)  # fmt: skip
def test_message_stop_makes_it_complete(stream: bytes, complete: bool) -> None:
    assert fed(stream).complete is complete


def test_an_error_after_content_is_told_and_is_no_failure() -> None:
    """Nothing can be sent again: the client sees upstream's own error event."""
    answer = EventStreamReader()
    passed = answer.feed(START + TEXT) + answer.feed(error("overloaded_error")) + answer.end()
    assert (answer.error, answer.failure) == ("overloaded_error", None)
    assert passed == START + TEXT + error("overloaded_error")


def test_only_whole_events_are_passed_on() -> None:
    answer = EventStreamReader()
    assert answer.feed(START + TEXT[:9]) == START
    assert answer.feed(TEXT[9:-1]) == b""
    assert answer.feed(TEXT[-1:] + PING[:1]) == TEXT


def test_a_whole_stream_ends_as_it_is() -> None:
    answer = fed(STREAM)
    assert answer.end() == b""
    assert answer.failure is None


@pytest.mark.parametrize("mark", [b"", BOM], ids=["plain", "bom"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("wanting", [0, 1, 2])
@given(st.lists(st.integers(0, 900), max_size=6))
def test_a_whole_stream_stays_whole(mark: bytes, end: bytes, wanting: int, cuts: list[int]) -> None:
    """No made-up error where the last blank line is missing; the client gets that line."""
    plain = STREAM.replace(b"\n", end).removesuffix(end * wanting)
    stream = mark + plain
    edges = sorted([0, *(min(cut, len(stream)) for cut in cuts), len(stream)])
    answer = EventStreamReader()
    passed = b"".join(answer.feed(stream[a:b]) for a, b in pairwise(edges)) + answer.end()
    assert (answer.complete, answer.failure, answer.error) == (True, None, "")
    assert passed.startswith(plain)  # SDKs don't know the mark
    assert names(passed) == names(STREAM)


@pytest.mark.parametrize(
    ("piece", "kind"),
    [(b": ka\n\n", "oversized_start"), (PING, "oversized_start"), (START, "oversized_start"),
     (b"x" * 1000, "oversized_event"), (b"a\n" * 500, "oversized_event"),
     (b"data: x\n" * 100, "oversized_event")],
    ids=["comments", "pings", "starts", "line", "lines", "data"],
)  # fmt: skip
def test_what_comes_before_content_is_bounded(piece: bytes, kind: str) -> None:
    answer = EventStreamReader()
    while answer.failure is None and answer.size < 2 * EVENT_LIMIT:
        answer.feed(piece)
    assert answer.failure is not None
    assert answer.failure.error_type == kind
    assert answer.size <= (EVENT_LIMIT if kind == "oversized_event" else HOLD_LIMIT) + 1000


def test_after_content_comments_may_go_on() -> None:
    answer = fed(START + TEXT)
    for _ in range(20):
        answer.feed(b": keep-alive\n\n" * 10_000)
    assert answer.failure is None


def test_what_follows_message_stop_is_passed_on() -> None:
    answer = fed(STREAM, b": bye")
    assert answer.end() == b": bye"


@pytest.mark.parametrize(
    "ending", [EventStreamReader.end, lambda a: a.cut("reset")], ids=["end", "cut"]
)
def test_a_stream_without_message_stop_is_closed_by_an_error(ending: Any) -> None:
    answer = fed(START + TEXT, DELTA[:-3])
    (closing,) = SseReader().feed(ending(answer))
    assert closing.name == "error"
    assert json.loads(closing.data) == {
        "type": "error",
        "error": {
            "type": "overloaded_error",
            "message": "The answer was cut off upstream. Ask again to continue.",
        },
    }
    assert (answer.failure, answer.complete) == (None, False)


# --- an event without end


@pytest.mark.parametrize(("more", "failed"), [(0, False), (1, True)], ids=["at", "over"])
def test_an_event_over_the_limit_is_a_failure(more: int, failed: bool) -> None:
    answer = fed(bytes(EVENT_LIMIT), bytes(more))
    assert (answer.failure is not None) is failed


def test_an_oversized_event_is_a_failure_after_content_too() -> None:
    answer = fed(START + TEXT, bytes(EVENT_LIMIT + 1))
    assert answer.failure == Failure(
        FailureStage.EVENT, None, "oversized_event", "an event without end"
    )


def test_a_large_event_in_small_pieces_takes_no_time() -> None:
    """What waits is not copied again for every piece that comes: that took half a minute."""
    large = event("content_block_delta", text="x" * (EVENT_LIMIT - 200))
    pieces = [large[at : at + 128] for at in range(0, len(large), 128)]
    answer, began = EventStreamReader(), time.process_time()
    assert b"".join(map(answer.feed, pieces)) == large
    assert time.process_time() - began < 2


# --- properties


def with_line_ends(stream: bytes, end: bytes) -> bytes:
    return stream.replace(b"\n", end)


events = st.sampled_from(
    [PING, b": comment\n\n", block("text"), block("tool_use"), TEXT, BLOCK_STOP, DELTA, STOP,
     error("overloaded_error"), b"data: a\ndata: b\n\n", b"event: x\n\n", b"\n"]
)  # fmt: skip
streams = st.builds(
    lambda mark, parts, end: mark + with_line_ends(START + b"".join(parts), end),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(events, max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    """A stream that breaks off at any byte, in chunks."""
    stream = draw(streams)
    stream = stream[: draw(st.integers(0, len(stream)))]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


def is_closed(answer: EventStreamReader) -> bool:
    return answer.complete or bool(answer.error)


@given(cut_streams(), st.booleans())
def test_a_stream_cut_at_any_byte_is_closed_by_one_error_event(
    chunks: list[bytes], cleanly: bool
) -> None:
    """What the client gets are the whole events that came, and one more that says they are not all."""
    answer = EventStreamReader()
    passed = b"".join(map(answer.feed, chunks))
    reader = SseReader()
    whole_ones = reader.feed(b"".join(chunks))
    if cleanly:  # then the last one may want its line ends
        whole_ones += [event for event in reader.finish() if is_json(event.data)]
    closing = answer.end() if cleanly else answer.cut("reset")
    assert closing is not None
    got = SseReader().feed(passed + closing)
    if is_closed(answer):
        assert got == whole_ones
        assert (passed + closing).startswith(b"".join(chunks).removeprefix(BOM))
    else:
        assert got[:-1] == whole_ones
        assert got[-1].name == "error"
        assert (passed + closing).endswith(b"\n\n")


@given(cut_streams())
def test_the_split_does_not_change_what_is_seen(chunks: list[bytes]) -> None:
    one, other = fed(*chunks), fed(b"".join(chunks))
    for name in ("usage", "failure", "released", "started", "complete", "error"):
        assert getattr(one, name) == getattr(other, name), name


@given(cut_streams())
def test_nothing_is_passed_on_but_what_came(chunks: list[bytes]) -> None:
    answer = EventStreamReader()
    assert b"".join(chunks).removeprefix(BOM).startswith(b"".join(map(answer.feed, chunks)))


@given(cut_streams())
def test_after_content_nothing_is_a_failure(chunks: list[bytes]) -> None:
    answer = fed(START + TEXT, *chunks)
    answer.cut("reset")
    assert answer.failure is None


@given(cut_streams())
def test_a_stream_that_comes_to_nothing_says_why(chunks: list[bytes]) -> None:
    answer = fed(*chunks)
    answer.cut("reset")
    assert answer.released or answer.failure


@given(st.sampled_from([OpaqueReader, whole, lambda: whole(500), EventStreamReader]), st.binary())
def test_no_bytes_make_an_answer_raise(kind: Callable[[], ResponseReader], data: bytes) -> None:
    answer = kind()
    answer.feed(data)
    answer.feed(b"event: content_block_start\ndata: " + data + b"\n\n")


@pytest.mark.parametrize("data", BAD_JSON, ids=BAD_IDS)
@pytest.mark.parametrize("name", ["message_start", "message_delta", "content_block_start"])
def test_events_that_can_not_be_read_are_passed_on(name: str, data: bytes) -> None:
    answer, unread = EventStreamReader(), encode(name, data)
    assert answer.feed(unread) == unread


@pytest.mark.parametrize("data", BAD_JSON, ids=BAD_IDS)
def test_a_whole_answer_that_can_not_be_read_is_passed_on(data: bytes) -> None:
    answer = whole(may_be_empty=True)
    answer.feed(data)
    answer.end()
    assert answer.released


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        ('{"type":"text_delta","text":"Hello"}', 5),
        ('{"type": "text_delta", "text": "Hello"}', 5),
        ('{"type":"text_delta","text":"Hello"}}        ', 5),
        ('{"type":"text_delta","text":"a \\"text\\":\\"b\\""}', 16),
        ('{"type":"text_delta","text":""}', 0),
        ('{"type":"thinking_delta","thinking":"Hmm"}', 3),
        ('{"type":"input_json_delta","partial_json":"{}"}', 2),
        ('{"type":"signature_delta","signature":"' + "x" * 900 + '"}', 0),
        ('{"type":"x_delta"}', 0),
        ('{"type":"x_delta","y":7}', 0),
        ("null", 0),
        ('"', 0),
    ],
    ids=[
        "text", "with spaces", "padded", "with quotes", "empty", "thinking", "a tool's input", "a signature",
        "no text", "a number", "null", "a quote",
    ],
)  # fmt: skip
def test_the_size_of_text(delta: str, size: int) -> None:
    event = f'{{"type":"content_block_delta","index":0,"delta":{delta}}}'
    assert text_size(event.encode()) == size


def test_the_text_of_a_stream_is_counted() -> None:
    reader = EventStreamReader()
    for text in ("one", "seventeen"):
        reader.feed(event("content_block_delta", delta={"type": "text_delta", "text": text}))
    assert reader.content_size == len("one" + "seventeen")
