from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.collected import message_of
from neurolink_mitm.core.providers.responses.events import ResponsesEvents, usage
from neurolink_mitm.core.providers.responses.failures import FailedResponseError
from neurolink_mitm.core.providers.signatures import reasoning_signature
from neurolink_mitm.core.providers.stream import ProviderStream, whole
from tests.anthropic_stream import Message, validate
from tests.core.providers.responses.story import (
    USAGE,
    Json,
    called,
    events_of,
    incomplete,
    response,
    said,
    searched,
    story,
    thought,
)


def told(events: Iterable[Json]) -> list[Json]:
    """Anthropic's events for these."""
    taking = ResponsesEvents()
    return [each for event in events for each in taking.feed(event)]


def streamed(events: Iterable[Json]) -> Message:
    """What the client of a stream has at its end."""
    stream = ProviderStream("msg_1", "gpt-x")
    return validate(b"".join(map(stream.feed, told(events))))


def at_once(given: Json) -> Json:
    """What the client of a whole answer has."""
    message = whole(collected(given), "msg_1", "gpt-x")
    assert message, "it is empty"
    return message


def collected(given: Json) -> Json:
    """The loose message for an answer that is not streamed after all."""
    message = message_of(ResponsesEvents().feed({"type": "response.completed", "response": given}))
    assert message
    return message


def block(text: str) -> Json:
    return {"type": "text", "text": text}


def use(name: str = "ls", **given: Any) -> Json:
    return {"type": "tool_use", "name": name, "input": given}


def unnamed(content: list[Json]) -> list[Json]:
    """The blocks without the ids of calls, which are given elsewhere."""
    calls = [block["id"] for block in content if block["type"] == "tool_use"]
    assert len(set(calls)) == len(calls)
    return [{k: v for k, v in block.items() if k != "id"} for block in content]


def thinking(text: str, known: str = "rs_1", encrypted: str = "gAAA") -> Json:
    signature = reasoning_signature(known, encrypted) if encrypted else ""
    return {"type": "thinking", "thinking": text, "signature": signature}


CASES: dict[str, tuple[Json, list[Json], str]] = {
    "a text": (response([said("Hello there")]), [block("Hello there")], "end_turn"),
    "a call": (response([called(arguments={"a": 1})]), [use(a=1)], "tool_use"),
    "a call without arguments": (response([called(arguments="")]), [use()], "tool_use"),
    "text and calls": (
        response([said("I look."), called(arguments={"a": 1}), called("cat", id_="fc_2")]),
        [block("I look."), use(a=1), use("cat")],
        "tool_use",
    ),
    "thinking": (response([thought("hm", "so"), said("so")]), [thinking("hm\n\nso"), block("so")], "end_turn"),
    "thinking that is not told": (response([thought(), called()]), [thinking(""), use()], "tool_use"),
    "thinking that nobody can read": (response([thought(encrypted=None), said("so")]), [block("so")], "end_turn"),
    "thinking without a signature": (
        response([thought("hm", encrypted=None), said("so")]), [thinking("hm", encrypted=""), block("so")], "end_turn",
    ),
    "thinking twice": (
        response([thought(), thought("hm", id_="rs_2"), said("so")]),
        [thinking(""), thinking("hm", "rs_2"), block("so")], "end_turn",
    ),
    "a refusal": (response([said("I can't.", refusal=True)]), [block("I can't.")], "refusal"),
    "two texts": (response([said("a"), said("b", id_="msg_2")]), [block("a"), block("b")], "end_turn"),
    "a search of its own": (response([searched(), said("so")]), [block("so")], "end_turn"),
    "a tool of its own": (
        response([{"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "x", "input": "y"}, said("so")]),
        [block("so")], "end_turn",
    ),
    "a limit": (incomplete([said("hal")], "max_output_tokens"), [block("hal")], "max_tokens"),
    "a limit of another kind": (incomplete([said("hal")], None), [block("hal")], "max_tokens"),
    "a limit before the first word": (incomplete([], "max_output_tokens"), [], "max_tokens"),
    "a limit within a call": (
        incomplete([said("so"), called(arguments='{"a": 1}', status="incomplete")], "max_output_tokens"),
        [block("so")], "max_tokens",
    ),
    "a limit behind a call": (
        incomplete([called(), called(arguments="", id_="fc_2", status="incomplete")], "max_output_tokens"),
        [use()], "max_tokens",
    ),
    "a filter": (incomplete([said("hal")], "content_filter"), [block("hal")], "refusal"),
    "a filter before the first word": (incomplete([], "content_filter"), [], "refusal"),
}  # fmt: skip


@pytest.mark.parametrize(("given_", "content", "reason"), CASES.values(), ids=CASES)
def test_an_answer_streamed_and_whole(given_: Json, content: list[Json], reason: str) -> None:
    message, found = streamed(story(given_)), at_once(given_)
    assert (unnamed(message.content), message.stop_reason) == (content, reason)
    assert (unnamed(found["content"]), found["stop_reason"]) == (content, reason)
    assert message.usage == found["usage"]


@pytest.mark.parametrize("items", [[], [thought()], [thought("")], [searched()], [said("")]])
def test_an_answer_of_nothing_is_empty(items: list[Json]) -> None:
    stream = ProviderStream("msg_1", "gpt-x")
    given_ = response(items)
    assert b"".join(map(stream.feed, told(story(given_)))) == b""
    assert (stream.done, stream.started) == (True, False)
    assert whole(collected(given_), "msg_1", "gpt-x") is None


def test_a_call_tells_that_it_begins() -> None:
    before = told(story(response([called(arguments={"a": 1})]))[:4])
    assert before == [{"type": "tool_begins"}]


def test_a_text_comes_as_it_is_written() -> None:
    begun = story(response([said("Hello there")]))[:5]
    message = message_of([*told(begun), {"type": "message_stop"}])
    assert message
    assert message["content"] == [block("Hello")]


def test_half_a_call_is_not_called() -> None:
    """Not even if its arguments, so far, could be read."""
    events = story(response([called(arguments={"a": 1})]))
    cut = events[:-2]
    last = {"type": "response.incomplete", "response": incomplete([], "max_output_tokens")}
    assert streamed([*cut, last]).content == []


def test_a_stream_without_its_last_event_has_no_end() -> None:
    events = story(response([said("Hello")]))[:-1]
    stream = ProviderStream("msg_1", "gpt-x")
    for event in told(events):
        stream.feed(event)
    assert stream.started
    assert not stream.done


def test_nothing_follows_the_end() -> None:
    taking = ResponsesEvents()
    events = story(response([said("Hello")]))
    for event in events:
        taking.feed(event)
    assert taking.done
    assert [taking.feed(event) for event in events] == [[]] * len(events)


# Any order that the API documents, and less than it documents

_words = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=23
).filter(str.strip)
_items = st.lists(
    st.one_of(
        st.builds(said, _words, refusal=st.booleans()),
        st.builds(called, arguments=st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)),
        st.builds(thought, _words, _words, encrypted=st.sampled_from(["gAAA", None])),
        st.builds(thought, encrypted=st.sampled_from(["gAAA", None])),
        st.builds(searched),
    ),
    min_size=1,
    max_size=5,
).map(lambda items: [{**item, "id": f"{item['id']}{n}"} for n, item in enumerate(items)])  # fmt: skip


def _mixed(items: list[Json], seed: random.Random) -> list[Json]:
    """The events of all items in turns; items begin in their order."""
    queues = [events_of(item, place) for place, item in enumerate(items)]
    begun, mixed = 0, []
    while any(queues):
        place = seed.randrange(min(begun + 1, len(queues)))
        if queues[place]:
            begun = max(begun, place + 1)
            mixed.append(queues[place].pop(0))
    return mixed


def _plain(message: Message) -> tuple[list[Json], str | None]:
    return message.content, message.stop_reason


@given(_items, st.randoms(use_true_random=False), st.integers(0, 2))
@settings(max_examples=50)
def test_any_interleaving_says_what_the_whole_says(
    items: list[Json], seed: random.Random, lack: int
) -> None:
    given_ = response(items)
    if at_end := whole(collected(given_), "msg_1", "gpt-x"):
        told_ = _mixed(items, seed) if lack < 2 else story(given_)[:-1]
        events = [event for event in told_ if not _lacks(event, lack, seed)]
        last = {"type": "response.completed", "response": given_}
        message = streamed([*events, last])
        assert _plain(message) == (at_end["content"], at_end["stop_reason"])


def _lacks(event: Json, lack: int, seed: random.Random) -> bool:
    """0: nothing lacks; 1: some deltas of calls and some `done`; 2: whole items but for their `done` or the end."""
    kind = event["type"]
    if lack == 1:
        return (
            kind.endswith((".done", "arguments.delta"))
            and "item" not in kind
            and seed.random() < 0.5
        )
    return lack == 2 and kind != "response.output_item.done"


@given(_items)
def test_a_server_that_has_no_output_in_its_last_event(items: list[Json]) -> None:
    given_ = response(items)
    if at_end := whole(collected(given_), "msg_1", "gpt-x"):
        last = {"type": "response.completed", "response": {**given_, "output": []}}
        message = streamed([*story(given_)[:-1], last])
        assert _plain(message) == (at_end["content"], at_end["stop_reason"])


@given(_items)
def test_a_server_that_does_not_number_its_items(items: list[Json]) -> None:
    events = [
        {k: v for k, v in event.items() if k != "output_index"} for event in story(response(items))
    ]
    if at_end := whole(collected(response(items)), "msg_1", "gpt-x"):
        assert _plain(streamed(events)) == (at_end["content"], at_end["stop_reason"])


def test_a_server_whose_ids_change() -> None:
    """GitHub Copilot's differ in each event of an item."""
    events = story(response([thought("hm"), said("Hello there"), called(arguments={"a": 1})]))
    for number, event in enumerate(events):
        if "item_id" in event:
            event["item_id"] = f"x{number}"
        if "item" in event:
            event["item"] = {**event["item"], "id": f"y{number}"}
    assert [each["type"] for each in streamed(events).content] == ["thinking", "text", "tool_use"]


_anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(_items, st.data())
@settings(max_examples=50)
def test_a_member_of_another_type_breaks_nothing(items: list[Json], data: st.DataObject) -> None:
    taking = ResponsesEvents()
    for event in story(response(items)):
        if data.draw(st.booleans()):
            event = {**event, data.draw(st.sampled_from(sorted(event))): data.draw(_anything)}
        try:
            taking.feed(event)
        except FailedResponseError:
            return


@pytest.mark.parametrize("kind", ["response.failed", "error", "response.completed"])
def test_a_failure_is_raised(kind: str) -> None:
    """That of a whole response, too, which comes as its own last event."""
    failed = response([], status="failed", error={"code": "server_error"}, usage=None)
    with pytest.raises(FailedResponseError):
        told([{"type": kind, "response": failed}])


# Usage


def test_tokens_from_a_cache_are_counted_apart() -> None:
    assert usage(USAGE) == {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 7}


@pytest.mark.parametrize(
    "nonsense",
    [None, [], {"input_tokens": "7", "input_tokens_details": None}, {"input_tokens": -1}],
)
def test_nonsense_counts_nothing(nonsense: Any) -> None:
    assert set(usage(nonsense).values()) == {0}
