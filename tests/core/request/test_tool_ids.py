from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request.tool_ids import (
    AnswerIds,
    UniqueIds,
    ids_in,
    is_tool_id,
    tool_id,
)

RANDOM_IDS = {
    "anthropic": "toolu_01A09q90qw90lq917835lq9",
    "openai": "call_d5wgY2hPq9sXk0a8Lm3Tz1Bv",
    "vllm": "chatcmpl-tool-8f14e45fceea167a5a36dedd4bea2543",
    "deepseek": "call_00_sfm5xVspRVRx1TAWyJtV8612",
    "mistral": "D681PevKs",
    "uuid": "8f14e45f-ceea-467a-9a36-dedd4bea2543",
}
COUNTED_IDS = ("functions_Bash_0", "call_0", "call_12345678", "Bash:1", "getWeather1", "0", "")


def answer_ids(*taken: str) -> AnswerIds:
    return AnswerIds("msg_1", set(taken))


@pytest.mark.parametrize("random", RANDOM_IDS.values(), ids=RANDOM_IDS)
def test_a_random_id_is_kept_once(random: str) -> None:
    ids = answer_ids()
    assert ids.of(random) == random
    assert ids.of(random) != random
    assert answer_ids(random).of(random) != random


@pytest.mark.parametrize("counted", COUNTED_IDS, ids=repr)
def test_a_counted_id_is_replaced(counted: str) -> None:
    made = answer_ids().of(counted)
    assert is_tool_id(made)
    assert made != counted


def test_a_signature_behind_an_id_is_dropped() -> None:
    random = RANDOM_IDS["openai"]
    assert answer_ids().of(f"{random}__thought__AbC+/=") == random


@given(st.lists(st.text(max_size=80) | st.sampled_from(COUNTED_IDS)), st.sets(st.text(max_size=5)))
def test_all_ids_of_an_answer_are_new(given: list[str], history: set[str]) -> None:
    ids = answer_ids(*history)
    made = [ids.of(each) for each in given]
    assert len(set(made)) == len(made)
    assert history.isdisjoint(made)
    assert all(map(is_tool_id, made))


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_any_two_seeds_make_two_ids(one: str, other: str) -> None:
    assert (tool_id(one) == tool_id(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "good"),
    [("a-Z_9", True), ("x" * 64, True), ("x" * 65, False), ("", False), ("a.b", False),
     ("ü", False), ("a\n", False)],
)  # fmt: skip
def test_the_form_that_anthropic_takes(text: str, good: bool) -> None:
    assert is_tool_id(text) == good


def test_results_have_the_id_of_their_call() -> None:
    ids = UniqueIds()
    ids.turn()
    first = [ids.of_call("a"), ids.of_call("a")]
    assert [ids.of_result("a"), ids.of_result("a")] == first
    ids.turn()
    third = ids.of_call("a")
    assert len({*first, third}) == 3
    assert [ids.of_result("a"), ids.of_result("a")] == [third, third], "a second one, too"


def test_a_result_answers_a_call_of_the_latest_turn() -> None:
    ids = UniqueIds()
    ids.turn()
    ids.of_call("a")
    ids.turn()
    assert ids.of_call("a") == ids.of_result("a")


def test_a_result_without_call_keeps_its_id_if_it_is_good() -> None:
    assert [UniqueIds().of_result(id_) for id_ in ("a", "a.b")] == ["a", tool_id("a.b")]


def test_an_id_that_looks_like_a_new_one_is_replaced_too() -> None:
    ids, again = UniqueIds(), tool_id("a 1")
    made = [ids.of_call(each) for each in ("a", again, "a", again)]
    assert made[:2] == ["a", again]
    assert len(set(made)) == 4


@given(st.lists(st.sampled_from(["a", "a.b", tool_id("a 1"), tool_id("a.b"), ""])))
def test_calls_get_unique_ids_that_depend_on_what_comes_before(given: list[str]) -> None:
    ids, earlier = UniqueIds(), UniqueIds()
    made = [ids.of_call(each) for each in given]
    assert len(set(made)) == len(made)
    assert all(map(is_tool_id, made))
    half = given[: len(given) // 2]
    assert [earlier.of_call(each) for each in half] == made[: len(half)]


def test_many_calls_of_one_id_take_linear_time() -> None:
    ids = UniqueIds()
    assert len({ids.of_call("call_0") for _ in range(50_000)}) == 50_000


def test_the_ids_in_a_history() -> None:
    messages: list[Any] = [
        {"role": "user", "content": "hi"},
        {"content": [{"type": "tool_use", "id": "a"}, {"type": "server_tool_use", "id": "b"}, 7]},
        {"content": [{"type": "tool_result", "tool_use_id": "c"}, {"id": 7}]},
        "odd",
        {"content": None},
    ]
    assert ids_in(messages) == {"a", "b", "c"}


@pytest.mark.parametrize("messages", [None, "x", {}, 7, [None]], ids=repr)
def test_what_is_no_history_has_none(messages: Any) -> None:
    assert ids_in(messages) == set()
