from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.openai.editors import Editor, editor
from neurolink_mitm.core.response.sse import KEEP_ALIVE, encode
from tests.core.openai.formats import PlainAnswer
from tests.flows.raw_upstream import BLOCK, END, HELLO, MESSAGE, START, STREAM

NAMES = [
    "message_start", "content_block_start", "content_block_delta", "content_block_stop",
    "message_delta", "message_stop", "[DONE]",
]  # fmt: skip
GIVEN = b"".join(b"data: %b\n\n" % name.encode() for name in NAMES)
PLAIN = {"plain": ["hello"], "id": "req_1"}
ERROR = encode("error", error_body("overloaded_error", "busy"))


def make(*, streamed: bool = True, wanted: bool = True) -> Editor:
    return editor(PlainAnswer(), "req_1", 1, upstream_streams=streamed, client_streams=wanted)


def edited(made: Editor, *chunks: bytes) -> bytes:
    return b"".join([made.feed(chunk) for chunk in chunks] + [made.end()])


def test_a_stream_for_who_wants_one() -> None:
    made = make()
    assert made.feed(START) == b"data: message_start\n\n"
    assert edited(made, BLOCK + HELLO, END) == GIVEN.removeprefix(b"data: message_start\n\n")


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
@settings(max_examples=50)
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(places)]
    assert edited(make(), *chunks).replace(KEEP_ALIVE, b"") == GIVEN
    assert json.loads(edited(make(wanted=False), *chunks)) == PLAIN


def test_pings_and_comments_become_comments() -> None:
    pings = b'event: ping\ndata: {"type":"ping"}\n\n: keep-alive\n\n\n\r\ndata: {"type":"ping"}\n\n'
    assert make().feed(START + pings) == b"data: message_start\n\n" + KEEP_ALIVE * 3


def test_events_without_names_and_an_end_without_a_blank_line() -> None:
    bare = b"\n".join(line for line in STREAM.split(b"\n") if not line.startswith(b"event:"))
    assert edited(make(), bare[:-1]).replace(KEEP_ALIVE, b"") == GIVEN


def test_an_error_ends_a_stream_without_done() -> None:
    given = edited(make(), START + BLOCK + HELLO + ERROR)
    assert given.endswith(b'"message":"busy"}}\n\n')


def test_a_whole_response_for_who_wants_it() -> None:
    made = make(streamed=False, wanted=False)
    assert made.feed(MESSAGE[:20]) == b""
    assert json.loads(edited(made, MESSAGE[20:])) == PLAIN


def test_a_whole_response_for_who_wants_a_stream() -> None:
    assert edited(make(streamed=False), MESSAGE) == GIVEN


def test_an_error_within_a_stream_for_who_wants_it_whole() -> None:
    given = json.loads(edited(make(wanted=False), START + BLOCK + HELLO + ERROR))
    assert (given["error"]["message"], given["error"]["code"]) == ("busy", "server_is_overloaded")


@pytest.mark.parametrize(("streamed", "wanted"), [(False, False), (False, True), (True, False)])
def test_what_is_no_response(streamed: bool, wanted: bool) -> None:
    with pytest.raises(ValueError, match=r"message|Messages|end"):
        edited(make(streamed=streamed, wanted=wanted), b"<html>")
