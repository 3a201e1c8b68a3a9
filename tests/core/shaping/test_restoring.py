from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neurolink_mitm.core.response.sse import SseReader, encode
from neurolink_mitm.core.shaping.restoring import (
    FORM,
    LARGEST_BODY,
    LARGEST_EVENT,
    OversizedError,
    Placeholders,
    Restorer,
    editor,
)


def test_the_same_word_has_the_same_one_with_the_same_key() -> None:
    one, again, other = Placeholders(b"a"), Placeholders(b"a"), Placeholders(b"b")
    assert one.make("WORD", "x") == again.make("WORD", "x") != other.make("WORD", "x")


def test_its_form_fits_the_name_of_a_tool() -> None:
    made = Placeholders(b"a").make("EMAIL", "bob@corp.example")
    assert FORM.fullmatch(made)
    assert re.fullmatch(r"[a-zA-Z0-9_]{1,22}", made)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
PLACE = Placeholders(b"key").make("WORD", "bluebird")
QUOTED = Placeholders(b"key").make("TEXT", 'a "b"\n\\c')
TABLE = {PLACE: "bluebird", QUOTED: 'a "b"\n\\c'}


def delta(index: int = 0, type: str = "text_delta", **member: str) -> bytes:
    data = {"type": "content_block_delta", "index": index, "delta": {"type": type, **member}}
    return encode("content_block_delta", json.dumps(data).encode())


def start(index: int = 0, **block: Any) -> bytes:
    data = {"type": "content_block_start", "index": index, "content_block": block}
    return encode("content_block_start", json.dumps(data).encode())


def stop(index: int = 0) -> bytes:
    data = {"type": "content_block_stop", "index": index}
    return encode("content_block_stop", json.dumps(data).encode())


def split(whole: Any, cuts: Sequence[int]) -> list[Any]:
    places = sorted({cut % (len(whole) + 1) for cut in cuts} | {0, len(whole)})
    return [whole[one:other] for one, other in pairwise(places)]


def through(stream: bytes, cuts: Sequence[int] = (), table: dict[str, str] = TABLE) -> bytes:
    made = editor(table, stream=True)
    return b"".join(map(made.feed, split(stream, cuts))) + made.end()


def said(stream: bytes, member: str = "text") -> str:
    """All deltas of a stream as one text."""
    events = [json.loads(each.data) for each in SseReader().feed(stream)]
    return "".join(each["delta"].get(member, "") for each in events if "delta" in each)


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(TEXT | st.sampled_from(["bluebird", 'a "b"\n\\c']), max_size=8), CUTS, CUTS)
@example(["NL_WORD_", "bluebird", "0"], [9, 10, 20], [100])
def test_words_come_back_however_the_answer_is_cut(
    words: list[str], deltas: list[int], chunks: list[int]
) -> None:
    known = {word: name for name, word in TABLE.items()}
    sent = "".join(known.get(word, word) for word in words)
    stream = start(type="text", text="")
    stream += b"".join(delta(text=piece) for piece in split(sent, deltas)) + stop()
    assert said(through(stream, chunks)) == "".join(words)


@given(st.lists(st.sampled_from([PLACE, QUOTED, "x"]), min_size=1), CUTS, CUTS)
def test_in_the_input_of_a_tool_they_are_escaped(
    words: list[str], deltas: list[int], chunks: list[int]
) -> None:
    sent = json.dumps({"in": "".join(words)})
    stream = b"".join(
        delta(type="input_json_delta", partial_json=each) for each in split(sent, deltas)
    )
    answer = json.loads(said(through(stream + stop(), chunks), "partial_json"))
    assert answer == {"in": "".join(TABLE.get(word, word) for word in words)}


@given(CUTS)
def test_events_in_which_nothing_changes_pass_as_they_came(chunks: list[int]) -> None:
    stream = (
        b": hello\r\n\r\nevent: ping\ndata: {}\n\n" + start(type="text", text="")
        + delta(text="nothing N here") + delta(text="NL_WORD_x") + stop() + b"data: half"
    )  # fmt: skip
    assert through(stream, chunks) == stream


@pytest.mark.parametrize(
    "next_event", [stop(), delta(1, text="x"), encode("error", b'{"a":1}'), b""]
)
def test_the_beginning_of_one_that_does_not_go_on_is_let_go_first(next_event: bytes) -> None:
    result = through(delta(text="so NL_WO") + next_event)
    assert said(result).startswith("so NL_WO")
    assert result.endswith(next_event)


def test_thinking_stays_as_it_was_signed() -> None:
    stream = (
        start(type="thinking", thinking=PLACE)
        + delta(type="thinking_delta", thinking=f"of {PLACE}")
        + delta(type="signature_delta", signature=PLACE)
    )
    assert through(stream) == stream


def test_names_of_tools_and_errors_have_their_words_again() -> None:
    stream = start(type="tool_use", id="t", name=f"mcp__{PLACE}__x", input={})
    stream += encode("error", json.dumps({"error": {"message": f"no {QUOTED}"}}).encode())
    events = [json.loads(each.data) for each in SseReader().feed(through(stream))]
    assert events[0]["content_block"]["name"] == "mcp__bluebird__x"
    assert events[1]["error"]["message"] == 'no a "b"\n\\c'


def test_data_over_several_lines() -> None:
    lines = delta(text=PLACE).replace(b', "index"', b',\ndata: "index"')
    assert said(through(lines)) == "bluebird"


def test_what_is_no_delta_of_ours_is_restored_as_json() -> None:
    odd = encode("content_block_delta", b'{"delta": "' + PLACE.encode() + b'"}')
    assert b"bluebird" in through(odd)
    cited = delta(type="citations_delta", citation={"cited_text": PLACE})  # type: ignore[arg-type]
    assert b"bluebird" in through(cited)


def test_a_placeholder_of_another_request_is_left_alone() -> None:
    other = Placeholders(b"another key").make("WORD", "bluebird")
    assert through(delta(text=other)) == delta(text=other)


def whole(body: bytes, cuts: Sequence[int] = ()) -> bytes:
    made = editor(TABLE, stream=False)
    return b"".join(map(made.feed, split(body, cuts))) + made.end()


@given(CUTS)
def test_an_answer_that_comes_whole(cuts: list[int]) -> None:
    thought = {"type": "thinking", "thinking": PLACE, "signature": "s"}
    message = {"id": "m", "content": [
        {"type": "text", "text": f"{PLACE}, {QUOTED}"}, thought,
        {"type": "tool_use", "name": PLACE, "input": {PLACE: [QUOTED]}},
    ]}  # fmt: skip
    assert json.loads(whole(json.dumps(message).encode(), cuts))["content"] == [
        {"type": "text", "text": 'bluebird, a "b"\n\\c'}, thought,
        {"type": "tool_use", "name": "bluebird", "input": {"bluebird": ['a "b"\n\\c']}},
    ]  # fmt: skip


def test_a_page() -> None:
    assert whole(f"<p>{QUOTED}</p>\xff".encode("latin-1")) == b'<p>a "b"\n\\c</p>\xff'


@pytest.mark.parametrize("body", [b"", b"{}", b'{"content":"text"}', b"[1]"])
def test_without_placeholders_it_stays(body: bytes) -> None:
    assert whole(body) == body


def test_only_what_may_be_a_beginning_waits() -> None:
    restorer = Restorer(TABLE)
    assert [restorer.unfinished(text) for text in ("N", "x NL", "N x", PLACE, PLACE[:-1])] == [
        1, 2, 0, 0, len(PLACE) - 1,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "limit"), [(False, LARGEST_BODY), (True, LARGEST_EVENT)], ids=["whole", "event"]
)
def test_what_has_to_be_kept_is_bounded(stream: bool, limit: int) -> None:
    chunk, restoring = b"x" * 1024 * 1024, editor(TABLE, stream=stream)
    for _ in range(limit // len(chunk)):
        assert restoring.feed(chunk) == b""
    with pytest.raises(OversizedError):
        restoring.feed(b"x")
