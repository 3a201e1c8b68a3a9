"""Adapts the ids of tool calls to the form that a provider takes (`Traits.id_form`), and pairs calls with results.

Providers refuse a call without a result right behind it, a result without a call, and two results of one call. OpenAI:
"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from neurolink_mitm.core.providers.adapt.form import Json
from neurolink_mitm.core.providers.traits import IdForm, Traits
from neurolink_mitm.core.request.tool_ids import LONGEST_ID, UniqueIds, digest

NO_RESULT = "[no result]"
"""The result of a call that has none in the history."""
ORPHAN = "[the result of another tool call]"
"""Put before a result whose call is not in the turn before it, or has a result already: it becomes text."""
_SHORT = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_NINE = re.compile(r"[a-zA-Z0-9]{9}")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def paired(messages: Sequence[Json], traits: Traits) -> list[Json]:
    """Return the conversation, whose roles alternate, with ids of the form, and one result for each call."""
    ids, calls, turns = _Ids(traits.id_form), list[_Call](), list[Json]()
    for message in messages:
        blocks = message["content"]
        if message["role"] == "assistant":
            calls = ids.calls(blocks)
            turns.append({**message, "content": list(_said(blocks, calls))})
        else:
            others = list(_answered(blocks, calls))
            turns.append({**message, "content": [*_results(calls), *others]})
            calls = []
    if calls:
        turns.append({"role": "user", "content": list(_results(calls))})
    return turns if traits.twin_calls else list(_without_twins(turns))


def _without_twins(turns: Sequence[Json]) -> Iterator[Json]:
    """Yield the turns; of calls that are alike, each but the first one has a turn of its own, with its result."""
    twins: list[Json] = []
    for turn in turns:
        if turn["role"] == "assistant":
            twins = list(_twins(turn["content"]))
            gone = {twin["id"] for twin in twins}
            left = [block for block in turn["content"] if block.get("id") not in gone]
            yield {**turn, "content": left}
        elif twins:
            yield from _one_by_one(turn, twins)
            twins = []
        else:
            yield turn


def _one_by_one(turn: Json, twins: Sequence[Json]) -> Iterator[Json]:
    """Yield the user's turn behind calls, and for each of their `twins` two further turns."""
    blocks = turn["content"]
    results = {b["tool_use_id"]: b for b in blocks if b["type"] == "tool_result"}
    answers = [[results.pop(twin["id"])] for twin in twins]
    answers[-1] += (block for block in blocks if block["type"] != "tool_result")
    yield {**turn, "content": list(results.values())}
    for twin, answer in zip(twins, answers, strict=True):
        yield {"role": "assistant", "content": [twin]}
        yield {**turn, "content": answer}


def _twins(blocks: Sequence[Json]) -> Iterator[Json]:
    before: set[str] = set()
    for block in blocks:
        if block["type"] == "tool_use":
            call = json.dumps([block.get("name"), block.get("input")], sort_keys=True)
            if call in before:
                yield block
            before.add(call)


@dataclass(slots=True)
class _Call:
    given: str
    id: str
    content: object = NO_RESULT


@dataclass(slots=True)
class _Ids:
    """Gives each call of a history its id."""

    form: IdForm
    _count: int = 0
    _unique: UniqueIds = field(init=False)

    def __post_init__(self) -> None:
        self._unique = UniqueIds(*(_nine if self.form == "nine" else _short))

    def calls(self, blocks: Sequence[Json]) -> list[_Call]:
        return [self._call(block) for block in blocks if block["type"] == "tool_use"]

    def _call(self, block: Json) -> _Call:
        given = _given(block, "id")
        if self.form != "counted":
            return _Call(given, self._unique.of_call(given))
        number = f":{self._count}"
        self._count += 1
        return _Call(given, f"functions.{block.get('name')}"[: LONGEST_ID - len(number)] + number)


def _given(block: Json, member: str) -> str:
    return str(block.get(member) or "")


def _said(blocks: Sequence[Json], calls: Sequence[_Call]) -> Iterator[Json]:
    """Yield the blocks of the assistant's with the new ids of its calls."""
    left = iter(calls)
    for block in blocks:
        if block["type"] == "tool_use":
            yield {**block, "id": next(left).id}
        elif block["type"] == "tool_result":
            yield from _orphan(block)
        else:
            yield block


def _answered(blocks: Sequence[Json], calls: Sequence[_Call]) -> Iterator[Json]:
    """Take the results of `calls`; yield the other blocks."""
    waiting: dict[str, list[_Call]] = {}
    for call in reversed(calls):
        waiting.setdefault(call.given, []).append(call)
    for block in blocks:
        if block["type"] == "tool_use":
            yield {"type": "text", "text": f"[{block.get('name')}: {block.get('input')}]"}
        elif block["type"] != "tool_result":
            yield block
        elif same := waiting.get(_given(block, "tool_use_id")):
            same.pop().content = block.get("content")
        else:
            yield from _orphan(block)


def _orphan(block: Json) -> Iterator[Json]:
    content = block.get("content")
    if isinstance(content, list):
        yield {"type": "text", "text": ORPHAN}
        yield from content
    else:
        yield {"type": "text", "text": f"{ORPHAN}\n{content or ''}".strip()}


def _results(calls: Sequence[_Call]) -> Iterator[Json]:
    for call in calls:
        yield {"type": "tool_result", "tool_use_id": call.id, "content": call.content}


_Form = tuple[Callable[[str], bool], Callable[[str], str]]


def _fits(form: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda given: form.fullmatch(given) is not None


def _digits(seed: str) -> str:
    """Return nine letters and digits made of `seed`."""
    number = int(digest(seed), 16)
    return "".join(_DIGITS[number // 36**place % 36] for place in range(9))


_short: _Form = (_fits(_SHORT), lambda seed: f"call_{digest(seed)[:24]}")
_nine: _Form = (_fits(_NINE), _digits)
