from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from types import SimpleNamespace as Made
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.translator.calls import one_by_one

Piece = tuple[int, str | None, str | None, str]
"""Index, id, name and arguments."""


def chunk(*pieces: Piece, finish: str | None = None, **delta: Any) -> Any:
    calls = [
        Made(index=index, id=known, function=Made(name=name, arguments=arguments))
        for index, known, name, arguments in pieces
    ]
    said = Made(**{"content": None, "reasoning_content": None, **delta}, tool_calls=calls or None)
    return Made(choices=[Made(delta=said, finish_reason=finish)], usage=None)


def sorted_out(*chunks: Any) -> list[Any]:
    async def given_chunks() -> AsyncIterator[Any]:
        for each in chunks:
            yield each

    async def gather() -> list[Any]:
        return [each async for each in one_by_one(given_chunks())]

    return asyncio.run(gather())


def seen(chunks: list[Any]) -> list[Any]:
    """What each chunk holds: words, a call, an end."""
    found: list[Any] = []
    for each in chunks:
        (choice,) = each.choices
        held = [choice.delta.content, choice.delta.reasoning_content]
        held += [(c.id, c.function.arguments) for c in choice.delta.tool_calls or ()]
        found.append(tuple(h for h in (*held, choice.finish_reason) if h))
    return found


def test_what_calls_nothing_passes_untouched() -> None:
    chunks = [
        chunk(content="a"),
        chunk(reasoning_content="b"),
        Made(choices=[]),
        chunk(finish="stop"),
    ]
    assert [a is b for a, b in zip(sorted_out(*chunks), chunks, strict=True)] == [True] * 4


def test_a_call_passes_piece_by_piece() -> None:
    chunks = [chunk((0, "x", "Read", "")), chunk((0, None, None, "{")), chunk((0, None, None, "}"))]
    assert seen(sorted_out(*chunks)) == [(("x", ""),), ((None, "{"),), ((None, "}"),)]


def test_calls_of_one_chunk_get_a_chunk_each() -> None:
    both = chunk((0, "x", "Read", "{}"), (1, "y", "Read", "{ }"))
    assert seen(sorted_out(both)) == [(("x", "{}"),), (("y", "{ }"),)]


def test_calls_of_the_same_index_are_told_apart_by_their_ids() -> None:
    chunks = [chunk((0, "x", "Read", "{}")), chunk((0, "y", "Read", "{ }"))]
    assert seen(sorted_out(*chunks)) == [(("x", "{}"),), (("y", "{ }"),)]


def test_words_come_before_calls_and_the_end_after_them() -> None:
    whole = chunk((0, "x", "Read", "{}"), (1, "y", "Read", "{}"), content="So.", finish="stop")
    assert seen(sorted_out(whole)) == [("So.",), (("x", "{}"),), (("y", "{}"),), ("stop",)]


def test_what_is_kept_is_given_where_no_end_is_told() -> None:
    chunks = [chunk((0, "x", "Read", "{}")), chunk((1, "y", "Read", "{"))]
    assert seen(sorted_out(*chunks))[-1] == (("y", "{"),)


def test_the_chunks_given_are_left_as_they_were() -> None:
    both = chunk((0, "x", "Read", "{}"), (1, "y", "Read", "{"))
    sorted_out(both, chunk((1, None, None, "}"), finish="stop"))
    assert [c.function.arguments for c in both.choices[0].delta.tool_calls] == ["{}", "{"]


async def test_a_failure_is_passed_on() -> None:
    async def failing() -> AsyncIterator[Any]:
        yield chunk(content="a")
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        [each async for each in one_by_one(failing())]


CALLS = st.lists(
    st.dictionaries(st.text("ab", max_size=2), st.integers(0, 9), max_size=2), max_size=3
)


@settings(deadline=None, max_examples=50)
@given(CALLS, st.randoms(use_true_random=False))
def test_any_order_of_pieces_gives_every_call_whole_and_in_one_go(
    inputs: list[dict[str, int]], chance: random.Random
) -> None:
    queues: list[list[Piece]] = [
        [(n, f"id{n}", "Read", ""), *((n, None, None, c) for c in json.dumps(given))]
        for n, given in enumerate(inputs)
    ]
    chunks = []
    while left := [queue for queue in queues if queue]:
        at_once = chance.sample(left, chance.randint(1, len(left)))
        chunks.append(chunk(*(queue.pop(0) for queue in at_once)))
    order: list[str] = []
    texts: dict[str, str] = {}
    for each in sorted_out(*chunks, chunk(finish="tool_calls"))[:-1]:
        (call,) = each.choices[0].delta.tool_calls
        if call.id:
            assert call.id not in order, "begun once"
            order.append(call.id)
        texts[order[-1]] = texts.get(order[-1], "") + call.function.arguments
    assert [json.loads(texts[f"id{n}"]) for n in range(len(inputs))] == inputs
