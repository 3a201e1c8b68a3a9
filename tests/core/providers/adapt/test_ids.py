from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.providers.adapt.ids import NO_RESULT, ORPHAN
from neurolink_mitm.core.providers.adapt.ids import paired as paired_for
from neurolink_mitm.core.providers.traits import IdForm, Traits

Json = dict[str, Any]
FORMS: tuple[IdForm, ...] = ("forty", "nine", "counted")
PATTERNS = {
    "forty": r"[a-zA-Z0-9_-]{1,40}",
    "nine": r"[a-zA-Z0-9]{9}",
    "counted": r"functions\.ls:\d+",
}
ANTHROPIC, VLLM, MISTRAL = (
    "toolu_01A09q90qw90lq917835lq9",
    f"chatcmpl-tool-{'8f' * 16}",
    "D681PevKs",
)


def paired(messages: list[Json], form: IdForm, **traits: Any) -> list[Json]:
    return paired_for(messages, Traits(id_form=form, **traits))


def use(id_: str, **more: Any) -> Json:
    return {"type": "tool_use", "id": id_, "name": "ls", "input": {}, **more}


def result(id_: str, content: Any = "ok") -> Json:
    return {"type": "tool_result", "tool_use_id": id_, "content": content}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def assistant(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def ids_of(turns: list[Json], kind: str = "tool_use", member: str = "id") -> list[str]:
    return [b[member] for turn in turns for b in turn["content"] if b["type"] == kind]


def results_of(turns: list[Json]) -> list[str]:
    return ids_of(turns, "tool_result", "tool_use_id")


def rounds(*ids: str) -> list[Json]:
    """Return a history of one call a turn."""
    return [turn for id_ in ids for turn in (assistant(use(id_)), user(result(id_)))]


@pytest.mark.parametrize(
    ("form", "given", "kept"),
    [("forty", ANTHROPIC, True), ("forty", "x" * 40, True), ("forty", "x" * 41, False), ("forty", VLLM, False),
     ("forty", "functions.ls:0", False), ("forty", "", False), ("nine", MISTRAL, True), ("nine", ANTHROPIC, False),
     ("nine", "D681PevK_", False), ("nine", "D681PevKsx", False)],
)  # fmt: skip
def test_an_id_of_the_form_is_kept(form: IdForm, given: str, kept: bool) -> None:
    turns = paired(rounds(given), form)
    (made,) = ids_of(turns)
    assert results_of(turns) == [made]
    assert re.fullmatch(PATTERNS[form], made)
    assert (made == given) == kept


def test_kimis_ids_are_counted_over_the_history() -> None:
    history = [
        assistant(use("a"), use("b", name="cat")),
        user(result("b"), result("a")),
        *rounds("a"),
    ]
    turns = paired(history, "counted")
    assert ids_of(turns) == ["functions.ls:0", "functions.cat:1", "functions.ls:2"]
    assert results_of(turns) == ids_of(turns)


def test_a_long_name_is_cut_in_kimis_id() -> None:
    """https://platform.moonshot.ai/docs/api/tool-use: no limit is told, and 64 is what other APIs take."""
    turns = paired([assistant(use("a", name="x" * 64), use("b", name="x" * 64))], "counted")
    assert ids_of(turns) == [f"functions.{'x' * 52}:0", f"functions.{'x' * 52}:1"]


@pytest.mark.parametrize("form", FORMS)
def test_ids_that_come_again_are_told_apart_with_their_results(form: IdForm) -> None:
    history = [assistant(use("call_0"), use("call_0")), user(result("call_0", "1"), result("call_0", "2")),
               assistant(use("call_0")), user(result("call_0", "3"))]  # fmt: skip
    turns = paired(history, form)
    assert len(set(ids_of(turns))) == 3
    assert results_of(turns) == ids_of(turns)
    assert ids_of(turns, "tool_result", "content") == ["1", "2", "3"]


@pytest.mark.parametrize("form", FORMS)
def test_thousands_of_ids_stay_apart_and_are_the_same_in_the_next_turn(form: IdForm) -> None:
    given = [f"{VLLM}{n % 3000}" for n in range(6000)]
    turns = paired(rounds(*given), form)
    assert len(set(ids_of(turns))) == 6000
    assert results_of(turns) == ids_of(turns)
    assert all(re.fullmatch(PATTERNS[form], id_) for id_ in ids_of(turns))
    later = paired(
        [*rounds(*given), assistant(text("so")), user(text("go on")), *rounds("x")], form
    )
    assert json.dumps(later).startswith(json.dumps(turns)[:-1])


@pytest.mark.parametrize("form", ["forty", "nine"])
def test_an_id_that_looks_like_a_made_one_is_told_apart(form: IdForm) -> None:
    made = ids_of(paired(rounds("a b", "a b", "a b"), form))
    turns = paired(rounds("a b", *made, "a b", "a b", *made), form)
    assert len(set(ids_of(turns))) == len(ids_of(turns)) == 9


def test_results_stand_first_and_in_the_order_of_the_calls() -> None:
    history = [
        assistant(use("a"), use("b")),
        user(text("wait"), result("b", "2"), result("a", "1")),
    ]
    assert paired(history, "forty")[1] == user(result("a", "1"), result("b", "2"), text("wait"))


@pytest.mark.parametrize(
    "following", [[], [user(text("never mind"))]], ids=["at the end", "before the user"]
)
def test_a_call_without_result_gets_one(following: list[Json]) -> None:
    turns = paired([user(text("hi")), assistant(use("a")), *following], "forty")
    assert turns[2]["content"] == [
        result("a", NO_RESULT),
        *(b for turn in following for b in turn["content"]),
    ]


ORPHANS: dict[str, tuple[list[Json], list[Json]]] = {
    "without call": ([user(result("a", "x"))], [user(text(f"{ORPHAN}\nx"))]),
    "in parts": ([user(result("a", [text("x"), {"type": "image"}]))],
                 [user(text(ORPHAN), text("x"), {"type": "image"})]),
    "empty": ([user(result("a", ""))], [user(text(ORPHAN))]),
    "a second one": ([assistant(use("a")), user(result("a"), result("a", "x"))],
                     [assistant(use("a")), user(result("a"), text(f"{ORPHAN}\nx"))]),
    "too late": ([assistant(use("a")), user(text("hi")), assistant(text("so")), user(result("a", "x"))],
                 [assistant(use("a")), user(result("a", NO_RESULT), text("hi")), assistant(text("so")),
                  user(text(f"{ORPHAN}\nx"))]),
    "the assistant's": ([assistant(result("a", "x"))], [assistant(text(f"{ORPHAN}\nx"))]),
    "a call of the user's": ([user(use("a"))], [user(text("[ls: {}]"))]),
}  # fmt: skip


@pytest.mark.parametrize(("history", "left"), ORPHANS.values(), ids=ORPHANS)
def test_what_has_no_counterpart_becomes_text(history: list[Json], left: list[Json]) -> None:
    assert paired(history, "forty") == left


def test_calls_that_are_alike_come_in_turns_where_the_provider_takes_one() -> None:
    """Gemini 2.5: LiteLLM leaves out the second one, but not its result."""
    other = use("c", input={"a": 1})
    history = [
        assistant(text("so"), use("a"), use("b"), other, use("d")),
        user(*(result(id_, id_) for id_ in "abcd"), text("go on")),
        assistant(use("a"), other),
        user(result("a"), result("c")),
    ]
    assert paired(history[:2], "forty") == history[:2]
    assert paired(history[:2], "forty", twin_calls=False) == [
        assistant(text("so"), use("a"), other),
        user(result("a", "a"), result("c", "c")),
        assistant(use("b")),
        user(result("b", "b")),
        assistant(use("d")),
        user(result("d", "d"), text("go on")),
    ]
    assert paired(history, "forty", twin_calls=False)[6:] == paired(history, "forty")[2:]


BLOCKS = st.sampled_from([f(id_) for f in (use, result) for id_ in ("a", "a.b", "")] + [text("x")])


@given(
    st.lists(st.lists(BLOCKS, min_size=1, max_size=5), max_size=6),
    st.sampled_from(FORMS),
    st.booleans(),
)
def test_each_call_has_one_result_right_behind_it(
    contents: list[list[Json]], form: IdForm, twin_calls: bool
) -> None:
    history = [(assistant, user)[n % 2](*blocks) for n, blocks in enumerate(contents)]
    turns = paired(history, form, twin_calls=twin_calls)
    assert all(before["role"] != after["role"] for before, after in itertools.pairwise(turns))
    assert all(turn["content"] for turn in turns)
    made = ids_of(turns)
    assert len(set(made)) == len(made)
    for turn, following in itertools.pairwise([*turns, user()]):
        expected = ids_of([turn])
        assert results_of([following]) == expected
        assert [b["type"] for b in following["content"]][: len(expected)] == ["tool_result"] * len(
            expected
        )
