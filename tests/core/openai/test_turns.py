from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.turns import Turns, tool_name

NO_RESULT = "(no result: the call was not run)"


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def made(*steps: Any, prefill: bool = False) -> list[Any]:
    """Return the turns of steps: `u:words`, `a:words`, `call:id`, `result:id:words`."""
    turns = Turns()
    for step in steps:
        kind, _, rest = step.partition(":")
        if kind in ("u", "a"):
            role = "user" if kind == "u" else "assistant"
            turns.say(role, [msgspec.json.encode(text(rest))] if rest else [])
        elif kind == "call":
            turns.call(rest, b'"Bash"', b"{}")
        else:
            id_, _, words = rest.partition(":")
            turns.result(id_, [msgspec.json.encode(text(words))] if words else [], "at")
    return [
        (turn.role, [short(json.loads(block)) for block in turn.blocks])
        for turn in turns.written(prefill=prefill)
    ]


def short(block: dict[str, Any]) -> str:
    if block["type"] == "text":
        return str(block["text"])
    if block["type"] == "tool_use":
        return f"call {block['id']}"
    words = "".join(each["text"] for each in block.get("content", []))
    failed = " failed" if block.get("is_error") else ""
    return f"{block['tool_use_id']}{failed}: {words}"


U, A = "user", "assistant"
GO_ON = "Continue exactly where your last message ends. Do not repeat any of it."


@pytest.mark.parametrize(
    ("steps", "turns"),
    [
        (["u:a"], [(U, ["a"])]),
        (["u:a", "u:b", "a:c", "a:d", "u:e"], [(U, ["a", "b"]), (A, ["c", "d"]), (U, ["e"])]),
        (
            ["u:a", "call:x", "call:y", "result:y:2", "result:x:1", "u:b"],
            [(U, ["a"]), (A, ["call x", "call y"]), (U, ["x: 1", "y: 2", "b"])],
        ),
        (
            ["u:a", "call:x", "result:x:1", "a:b", "call:y", "result:y"],
            [(U, ["a"]), (A, ["call x"]), (U, ["x: 1"]), (A, ["b", "call y"]), (U, ["y: "])],
        ),
        (
            ["u:a", "call:x", "u:b", "result:x:1"],
            [(U, ["a"]), (A, ["call x"]), (U, ["x: 1", "b"])],
        ),
        (
            ["u:a", "call:x", "u:b", "a:c", "result:x:1", "u:d"],
            [(U, ["a"]), (A, ["call x"]), (U, ["x: 1", "b"]), (A, ["c"]), (U, ["d"])],
        ),
        (["u:a", "call:x"], [(U, ["a"]), (A, ["call x"]), (U, [f"x failed: {NO_RESULT}"])]),
        (
            ["u:a", "call:x", "call:y", "result:y:2", "u:b"],
            [(U, ["a"]), (A, ["call x", "call y"]), (U, [f"x failed: {NO_RESULT}", "y: 2", "b"])],
        ),
        (
            ["u:a", "call:x", "result:x:1", "result:x:2"],
            [(U, ["a"]), (A, ["call x"]), (U, ["x: 12"])],
        ),
        (["u:", "a:", "u:a"], [(U, ["a"])]),
        (["a:hello", "u:a"], [(U, ["(the conversation begins)"]), (A, ["hello"]), (U, ["a"])]),
        (["u:a", "a:b"], [(U, ["a"]), (A, ["b"]), (U, [GO_ON])]),
    ],
    ids=str,
)
def test_turns_alternate_and_results_stand_behind_their_calls(
    steps: list[str], turns: list[Any]
) -> None:
    assert made(*steps) == turns


def test_a_model_that_takes_a_prefill_gets_it_without_white_space_at_the_end() -> None:
    assert made("u:a", "a:b \n", prefill=True) == [(U, ["a"]), (A, ["b"])]


def test_ids_that_are_empty_or_of_another_form_or_come_again_are_one_to_one_over_turns() -> None:
    steps = ["u:a", "call:", "call:functions.Bash0", "call:x", "call:x"]
    steps += ["result::1", "result:functions.Bash0:2", "result:x:3", "result:x:4"]
    steps += ["call:x", "result:x:5"]
    turns = made(*steps)
    ids = [each.removeprefix("call ") for role, each_ in turns if role == A for each in each_]
    assert len(set(ids)) == 5
    assert [each for _, blocks in (turns[2], turns[4]) for each in blocks] == [
        f"{id_}: {number}" for number, id_ in enumerate(ids, 1)
    ]
    longer = made(*steps, "u:b")
    assert longer[: len(turns) - 1] == turns[:-1]


@pytest.mark.parametrize("steps", [["u:a", "result:x:1"], ["result::1"], ["call:y", "result:x"]])
def test_a_result_without_its_call_is_refused(steps: list[str]) -> None:
    with pytest.raises(RequestError, match="no call before this has the id") as raised:
        made(*steps)
    assert raised.value.param == "at"


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(RequestError) as raised:
        made("u:", "a:")
    assert raised.value.param == "messages"


def test_instructions_alone_are_what_is_asked() -> None:
    turns = Turns()
    turns.system.append(b'{"type":"text","text":"a"}')
    (turn,) = turns.written(prefill=False)
    assert (turn.role, turn.blocks, turns.system) == ("user", [b'{"type":"text","text":"a"}'], [])


@pytest.mark.parametrize(
    ("before", "answered", "lacks"),
    [
        ([], True, True),
        ([b'{"type":"thinking","thinking":"","signature":"x"}'], True, False),
        ([], False, True),
        ([b'{"type":"redacted_thinking","data":"x"}'], False, False),
    ],
)
def test_calls_in_the_last_turn_without_thinking(
    before: list[bytes], answered: bool, lacks: bool
) -> None:
    turns = Turns()
    turns.say("user", [b"{}"])
    turns.say("assistant", before)
    turns.call("x", b'"Bash"', b"{}")
    if answered:
        turns.result("x", [], "at")
    assert turns.lacks_thinking() is lacks
    turns.say("assistant", [b'{"type":"text","text":"a"}'])
    turns.say("user", [b"{}"])
    assert turns.lacks_thinking() is (lacks and not answered)


@pytest.mark.parametrize(
    ("words", "lacks"), [([], False), ([b"{}"], True)], ids=["results", "words"]
)
def test_thinking_before_the_first_of_several_calls_counts_until_the_user_speaks(
    words: list[bytes], lacks: bool
) -> None:
    turns = Turns()
    turns.say("assistant", [b'{"type":"thinking","thinking":"","signature":"x"}'])
    for call in ("x", "y"):
        turns.call(call, b'"Bash"', b"{}")
        turns.result(call, [], "at")
        turns.say("user", words if call == "x" else [])
    assert turns.lacks_thinking() is lacks


def test_turns_with_thinking_are_judged_by_what_they_hold() -> None:
    turns = Turns()
    turns.say("user", [b'{"type":"text","text":"a"}', b'{"type":"image"}'])
    turns.call("x", b'"Bash"', b"{}")
    assert turns.are_plain
    turns.say("assistant", [b'{"type":"thinking","thinking":"","signature":"nl1.gemini.y"}'])
    assert not turns.are_plain


def test_anthropics_thinking_is_forgotten_and_anothers_left_to_the_sanitizer() -> None:
    turns = Turns()
    signed = b'{"type":"thinking","thinking":"","signature":"%b"}'
    turns.say("user", [b"{}"])
    turns.say("assistant", [signed % b"x", signed % b"nl1.gemini.y", b'{"type":"text","text":"a"}'])
    turns.say("user", [b"{}"])
    turns.say("assistant", [signed % b"x"])
    turns.forget_thinking()
    first, second, third = turns.written(prefill=False)
    assert second.blocks == [signed % b"nl1.gemini.y", b'{"type":"text","text":"a"}']
    assert (first.role, third.role) == ("user", "user")


@pytest.mark.parametrize("name", ["", "a.b", "a b", "ä", "x" * 129, 5, None])
def test_a_name_that_anthropic_refuses(name: Any) -> None:
    with pytest.raises(RequestError) as raised:
        tool_name(msgspec.Raw(json.dumps(name).encode()), "tools[0].function.name")
    assert raised.value.param == "tools[0].function.name"


def test_a_name_with_escapes() -> None:
    assert tool_name(msgspec.Raw(rb'"\u0041-1"'), "at") == b'"A-1"'
