from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.stored import (
    KEPT_SECONDS,
    LARGEST,
    Memory,
    Pending,
    client_space,
)

ME, OTHER = client_space("sk-nl-me"), client_space("sk-nl-other")


def response(id_: str, text: str = "hello", **more: Any) -> bytes:
    item = {"id": f"msg_{id_}", "type": "message", "content": [{"text": text}]}
    return json.dumps({"id": id_, "output": [item], **more}).encode()


def kept(
    memory: Memory, id_: str, previous: str | None = None, now: float = 0.0, **more: Any
) -> bool:
    pending = Pending(msgspec.Raw(json.dumps(more.pop("input", "hi")).encode()), previous)
    return memory.keep(more.pop("client", ME), pending, response(id_, **more), now)


def chain(memory: Memory, id_: str, now: float = 0.0, client: str = ME) -> list[str] | None:
    turns = memory.turns(client, id_, now)
    return None if turns is None else [turn.id for turn in turns]


def test_a_conversation_is_returned_in_order() -> None:
    memory = Memory()
    assert kept(memory, "a")
    assert kept(memory, "b", "a")
    assert kept(memory, "c", "b")
    assert kept(memory, "b2", "a")
    assert chain(memory, "c") == ["a", "b", "c"]
    assert chain(memory, "b2") == ["a", "b2"]


def test_what_is_not_stored_is_a_404_of_its_parameter() -> None:
    memory = Memory()
    kept(memory, "a")
    for client, id_ in ((ME, "b"), (OTHER, "a"), ("", "a")):
        with pytest.raises(RequestError, match="not found") as e:
            memory.of(client, 0).turns(id_)
        error = e.value
        assert (error.status, error.param) == (404, "previous_response_id")
        assert error.code == "previous_response_not_found"
    assert [turn.id for turn in memory.of(ME, 0).turns("a")] == ["a"]


def test_an_item_is_found_by_its_client_alone() -> None:
    memory = Memory()
    kept(memory, "a", text="blue")
    assert b"blue" in bytes(memory.of(ME, 0).item("msg_a") or b"")
    assert memory.of(OTHER, 0).item("msg_a") is None
    memory.delete(ME, "a", 0)
    assert memory.of(ME, 0).item("msg_a") is None


def test_a_turn_is_kept_for_a_day_after_its_last_use() -> None:
    memory = Memory()
    kept(memory, "a", now=0)
    kept(memory, "b", "a", now=10)
    assert chain(memory, "a", KEPT_SECONDS + 9) == ["a"]
    assert chain(memory, "b", KEPT_SECONDS + 10) is None
    assert chain(memory, "a", 2 * KEPT_SECONDS + 9) is None
    assert (len(memory), memory.size) == (0, 0)


def test_reading_a_response_does_not_prolong_it() -> None:
    memory = Memory()
    kept(memory, "a")
    assert memory.turn(ME, "a", KEPT_SECONDS - 1)
    assert memory.turn(ME, "a", KEPT_SECONDS) is None


def test_the_least_recently_used_goes_first() -> None:
    memory = Memory(largest=40_000)
    for id_ in ("a", "b", "c"):
        kept(memory, id_, text=id_ * 10_000)
    assert chain(memory, "a") == ["a"]
    kept(memory, "d", text="d" * 10_000)
    assert [chain(memory, id_) for id_ in "abcd"] == [["a"], None, ["c"], ["d"]]


def test_a_conversation_loses_its_end_first_never_its_beginning() -> None:
    memory = Memory(largest=40_000)
    kept(memory, "a", text="a" * 10_000)
    kept(memory, "b", "a", text="b" * 10_000)
    kept(memory, "c", text="c" * 10_000)
    kept(memory, "d", text="d" * 10_000)
    assert chain(memory, "b") is None
    assert chain(memory, "a") == ["a"]
    assert not kept(memory, "e", "b"), "it continues one that is gone"


def test_one_larger_than_the_bound_is_not_kept_and_nothing_goes_for_it() -> None:
    memory = Memory(largest=30_000)
    kept(memory, "a")
    assert not kept(memory, "b", text="b" * 30_000)
    assert not kept(memory, "c", input="c" * 30_000)
    assert chain(memory, "a") == ["a"]


def test_a_conversation_of_200_turns_is_stored_once() -> None:
    memory = Memory()
    previous = None
    for at in range(200):
        assert kept(memory, f"r{at}", previous, text="x" * 10_000)
        previous = f"r{at}"
    assert len(chain(memory, "r199") or ()) == 200
    assert memory.size < 200 * 12_000 < LARGEST


def test_a_deleted_response_is_gone_but_not_from_what_continues_it() -> None:
    memory = Memory()
    kept(memory, "a")
    kept(memory, "b", "a")
    assert not memory.delete(OTHER, "a", 0)
    assert memory.delete(ME, "a", 0)
    assert not memory.delete(ME, "a", 0)
    assert (chain(memory, "a"), memory.turn(ME, "a", 0)) == (None, None)
    assert chain(memory, "b") == ["a", "b"]
    assert memory.delete(ME, "b", 0)
    assert (len(memory), memory.size) == (0, 0)


@pytest.mark.parametrize(
    "bytes_", [b"", b"null", b'{"id":"a"}', b'{"id":5,"output":[]}', b"[" * 9999]
)
def test_what_is_no_response_is_not_kept(bytes_: bytes) -> None:
    assert not Memory().keep(ME, Pending(msgspec.Raw(b'"hi"')), bytes_, 0)


def test_nothing_of_a_conversation_is_in_a_repr() -> None:
    memory = Memory()
    kept(memory, "a", text="blue-heron", input="grey-heron")
    texts = repr(
        [memory, memory.of(ME, 0), memory.turn(ME, "a", 0), Pending(msgspec.Raw(b'"grey-heron"'))]
    )
    assert "heron" not in texts
    assert "sk-nl" not in texts


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-1, 9), st.integers(0, 4000)), max_size=30)
)
def test_the_size_is_the_sum_and_every_conversation_is_whole(
    steps: list[tuple[int, int, int]],
) -> None:
    memory = Memory(largest=12_000, seconds=15)
    for now, (id_, previous, size) in enumerate(steps):
        if size % 5 == 0:
            memory.delete(ME, f"r{id_}", now)
        kept(memory, f"r{id_}", f"r{previous}" if previous >= 0 else None, now, text="x" * size)
        assert memory.size <= 12_000
        for at in range(10):
            chain(memory, f"r{at}", now)
    last = len(steps)
    assert memory.size == sum(turn.size for turn in memory._turns.values())
    memory.turns(ME, "none", last + 15)
    assert (len(memory), memory.size, memory._items) == (0, 0, {})


def test_several_threads_may_use_it() -> None:
    memory = Memory(largest=200_000)

    def use(number: int) -> None:
        previous = None
        for at in range(50):
            id_ = f"r{number}_{at}"
            previous = id_ if kept(memory, id_, previous, text="x" * 1000) else None
            memory.turns(ME, id_, 0)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(8)))
    assert memory.size <= 200_000
    assert memory.size == sum(turn.size for turn in memory._turns.values())
