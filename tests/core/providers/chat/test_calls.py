from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.chat.calls import Calls, ToolCall
from tests.linear import assert_linear

Json = dict[str, Any]
Pieces = Sequence[Json]


def piece(index: Any = None, id_: Any = None, name: Any = None, arguments: Any = None) -> Json:
    made: Json = {"type": "function", "function": {"name": name, "arguments": arguments}, "id": id_}
    return made if index is None else {**made, "index": index}


def whole(*chunks: Pieces) -> list[ToolCall]:
    calls = Calls()
    for chunk in chunks:
        calls.add(list(chunk))
    return calls.whole()


def called(*chunks: Pieces) -> list[tuple[str, str, Any]]:
    return [(call.id, call.name, call.input) for call in whole(*chunks)]


READ = ("a", "Read", {"p": 1})
BASH = ("b", "Bash", {"c": 2})
TWICE = [("a", "Read", {"p": 1}), ("b", "Read", {"p": 2})]
R, B = '{"p": 1}', '{"c": 2}'

CASES: dict[str, tuple[list[Pieces], list[tuple[str, str, Any]]]] = {
    "in pieces": ([[piece(0, "a", "Read", "")], [piece(0, None, None, '{"p"')], [piece(0, None, None, ": 1}")]],
                  [READ]),
    "whole": ([[piece(0, "a", "Read", R)]], [READ]),
    "several in one chunk": ([[piece(0, "a", "Read", R), piece(1, "b", "Bash", B)]], [READ, BASH]),
    "interleaved": ([[piece(0, "a", "Read", '{"p"')], [piece(1, "b", "Bash", '{"c"')],
                     [piece(0, None, None, ": 1}")], [piece(1, None, None, ": 2}")]], [READ, BASH]),
    "interleaved under one index, by id":
        ([[piece(0, "a", "Read", '{"p"')], [piece(0, "b", "Bash", '{"c"')],
          [piece(0, "a", None, ": 1}")], [piece(0, "b", None, ": 2}")]], [READ, BASH]),
    "all under index 0, in pieces":
        ([[piece(0, "a", "Read", "")], [piece(0, None, None, '{"p"')], [piece(0, None, None, ": 1}")],
          [piece(0, "b", "Bash", "")], [piece(0, None, None, B)]], [READ, BASH]),
    "all under index 0, whole": ([[piece(0, "a", "Read", R)], [piece(0, "b", "Bash", B)]], [READ, BASH]),
    "all under index 0, in one chunk": ([[piece(0, "a", "Read", R), piece(0, "b", "Read", '{"p": 2}')]], TWICE),
    "the same id and name in each piece":
        ([[piece(0, "a", "Read", '{"p"')], [piece(0, "a", "Read", ": 1}")]], [READ]),
    "the same name in each piece": ([[piece(0, "a", "Read", '{"p"')], [piece(0, None, "Read", ": 1}")]], [READ]),
    "another id in each piece": ([[piece(0, "a", "Read", '{"p"')], [piece(0, "x", None, ": 1}")]], [READ]),
    "the id comes late": ([[piece(0, None, "Read", "")], [piece(0, "a", None, R)]], [READ]),
    "the name in pieces": ([[piece(0, "a", "Re", "")], [piece(0, None, "ad", "")], [piece(0, None, None, R)]], [READ]),
    "the name so far in each piece": ([[piece(0, "a", "Re", "")], [piece(0, "a", "Read", R)]], [READ]),
    "an object": ([[piece(0, "a", "Read", {"p": 1})]], [READ]),
    "an object in each piece": ([[piece(0, "a", "Read", {"p": 1})], [piece(0, "a", "Read", {"p": 1})]], [READ]),
    "whole, then once more": ([[piece(0, "a", "Read", R)], [piece(0, "a", "Read", R)]], [READ]),
    "whole, then in pieces": ([[piece(0, "a", "Read", R)], [piece(0, None, None, '{"p"')],
                               [piece(0, None, None, ": 1}")]], [READ]),
    "all so far in each piece": ([[piece(0, "a", "Read", '{"p"')], [piece(0, "a", None, R)]], [READ]),
    "an empty object first": ([[piece(0, "a", "Read", {})], [piece(0, None, None, R)]], [READ]),
    "a string within the string": ([[piece(0, "a", "Read", json.dumps(R))]], [READ]),
    "a line break in a string": ([[piece(0, "a", "Read", '{"p": "x\ny"}')]], [("a", "Read", {"p": "x\ny"})]),
    "halves of letters": ([[piece(0, "a", "Read", '{"p": "\ud83d')], [piece(0, None, None, '\ude00 \ud83d"}')]],
                          [("a", "Read", {"p": "\U0001f600 \ufffd"})]),
    "halves of letters, in words": ([[piece(0, "a", "Read", '{"p": "\\ud83d"}')]], [("a", "Read", {"p": "\ufffd"})]),
    "null": ([[piece(0, "a", "Read", None)]], [("a", "Read", {})]),
    "nothing": ([[piece(0, "a", "Read", "")]], [("a", "Read", {})]),
    "null as a string": ([[piece(0, "a", "Read", "null")]], [("a", "Read", {})]),
    "without arguments": ([[{"index": 0, "id": "a", "function": {"name": "Read"}}]], [("a", "Read", {})]),
    "an index that is a string": ([[piece("0", "a", "Read", '{"p"')], [piece(0, None, None, ": 1}")]], [READ]),
    "no index": ([[piece(None, "a", "Read", R), piece(None, "b", "Bash", B)]], [READ, BASH]),
    "no index, in pieces": ([[piece(None, "a", "Read", '{"p"')], [piece(None, None, None, ": 1}")],
                             [piece(None, "b", "Bash", B)]], [READ, BASH]),
    "no index, with the id in each piece":
        ([[piece(None, "a", "Read", '{"p"')], [piece(None, "b", "Bash", '{"c"')], [piece(None, "a", None, ": 1}")],
          [piece(None, "b", None, ": 2}")]], [READ, BASH]),
    "the index only at first": ([[piece(0, "a", "Read", '{"p"')], [piece(None, None, None, ": 1}")]], [READ]),
    "neither index nor id": ([[piece(None, None, "Read", R), piece(None, None, "Read", '{"p": 2}')]],
                             [("", "Read", {"p": 1}), ("", "Read", {"p": 2})]),
    "neither, in two chunks": ([[piece(None, None, "Read", {"p": 1})], [piece(None, None, "Read", {"p": 1})]],
                               [("", "Read", {"p": 1}), ("", "Read", {"p": 1})]),
    "index 0 and no id, whole": ([[piece(0, None, "Read", R)], [piece(0, None, "Read", '{"p": 2}')]],
                                 [("", "Read", {"p": 1}), ("", "Read", {"p": 2})]),
    "index 0 and no id, in pieces":
        ([[piece(0, None, "Read", '{"p"')], [piece(0, None, None, ": 1}")], [piece(0, None, "Bash", B)]],
         [("", "Read", {"p": 1}), ("", "Bash", {"c": 2})]),
    "the same id twice": ([[piece(0, "a", "Read", R), piece(1, "a", "Read", '{"p": 2}')]],
                          [("a", "Read", {"p": 1}), ("a", "Read", {"p": 2})]),
    "an empty piece beside it": ([[piece(0, "", "", "")], [piece(1, "a", "Read", R)]], [READ]),
    "white space": ([[piece(0, "a", "Read", " \n")], [piece(0, None, None, R)]], [READ]),
}  # fmt: skip


@pytest.mark.parametrize(("chunks", "wanted"), CASES.values(), ids=CASES)
def test_calls_come_out_whole(chunks: list[Pieces], wanted: list[Any]) -> None:
    assert called(*chunks) == wanted


@pytest.mark.parametrize(
    "arguments", ['{"p"', "[1]", "7", "no", '{"p": 1}{"p": 2}', '{"p": 1} and', "[" * 100_000]
)
def test_what_is_no_object_is_no_input(arguments: str) -> None:
    assert called([piece(0, "a", "Read", arguments)]) == [("a", "Read", None)]


def test_what_has_no_name_has_no_input() -> None:
    assert called([piece(0, "a", None, R)]) == [("a", "", None)]


SIGNED = {"thought_signature": "S"}


@pytest.mark.parametrize(
    "member",
    [{"provider_specific_fields": SIGNED}, {"extra_content": {"google": SIGNED}},
     {"function": {"name": "Read", "arguments": R, "provider_specific_fields": SIGNED}}],
    ids=["litellm", "google", "function"],
)  # fmt: skip
def test_the_signature_of_a_call_is_kept(member: Json) -> None:
    assert whole([{**piece(0, "a", "Read", R), **member}])[0].signature == "S"


INPUTS = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=8), max_size=3)


@settings(deadline=None)  # other work on this machine is no fault
@given(st.lists(st.tuples(st.sampled_from(["Read", "Bash"]), INPUTS), max_size=4), st.data())
def test_any_split_gives_the_same_calls(calls: list[tuple[str, Json]], data: st.DataObject) -> None:
    """Also in turns, with the index, the id or both."""
    by_index, by_id = data.draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    stories = {number: split(json.dumps(given), data) for number, (_, given) in enumerate(calls)}
    order = data.draw(st.permutations([n for n, pieces in stories.items() for _ in pieces]))
    chunks: list[Pieces] = []
    begun: dict[int, str] = {}
    for number in order:
        first, id_ = number not in begun, f"call_{number}"
        begun[number] = id_
        name = calls[number][0] if first else None
        given_id = id_ if by_id or first else None
        chunks.append([piece(number if by_index else 0, given_id, name, stories[number].pop(0))])
    assert called(*chunks) == [(id_, *calls[number]) for number, id_ in begun.items()]


def split(text: str, data: st.DataObject) -> list[str]:
    at = [0, *sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=3))), len(text)]
    return [text[a:b] for a, b in pairwise(at)]


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just([]) | st.just({})
ODD = st.fixed_dictionaries(
    {}, optional={"index": VALUES, "id": VALUES,
                  "function": VALUES | st.fixed_dictionaries({}, optional={"name": VALUES, "arguments": VALUES})},
)  # fmt: skip


@given(st.lists(st.lists(ODD | VALUES, max_size=3) | VALUES, max_size=5))
def test_whatever_comes_is_calls_or_nothing(chunks: list[Any]) -> None:
    calls = Calls()
    for chunk in chunks:
        calls.add(chunk)
    assert all(call.name or call.input is None for call in calls.whole())


@pytest.mark.parametrize(
    "repeated", [{}, {"id_": "a"}, {"name": "Read"}, {"id_": "a", "name": "Read"}], ids=str
)
def test_long_arguments_in_tiny_pieces_are_linear(repeated: Json) -> None:
    def make(size: int) -> list[Pieces]:
        letters = '{"p": "' + "x" * size + '"}'
        pieces = (letters[at : at + 2] for at in range(0, len(letters), 2))
        return [[piece(0, "a", "Read", "")], *([piece(0, **repeated, arguments=p)] for p in pieces)]

    assert_linear(lambda chunks: whole(*chunks), make)


@pytest.mark.parametrize("unit", ['{"p": 1}', "{}", "{}\n", '{"', " "], ids=repr)
def test_odd_arguments_are_linear(unit: str) -> None:
    def make(size: int) -> list[Pieces]:  # a piece has more around its text than in it
        return [[piece(0, None, "Read", unit)] for _ in range(size // 8)]

    assert_linear(lambda chunks: whole(*chunks), make)
