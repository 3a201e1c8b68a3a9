from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.call_signatures import CallSignatures, signatures_in

Json = dict[str, Any]
SIGNATURE = "nl1.gemini.S"
SIGNED: Json = {"type": "thinking", "thinking": "", "signature": SIGNATURE}
TEXT: Json = {"type": "text", "text": "I look."}


def use(known: Any = "a") -> Json:
    return {"type": "tool_use", "id": known, "name": "Read", "input": {}}


def request(*blocks: Any, role: str = "assistant") -> Json:
    return {"messages": [{"role": role, "content": list(blocks)}], "max_tokens": 9}


def knowing(*ids: str, **limits: int) -> CallSignatures:
    memory = CallSignatures(**limits)
    for id_ in ids:
        memory.learn({id_: SIGNATURE})
    return memory


def test_a_call_without_its_signature_gets_it_back() -> None:
    given = request(TEXT, use("a"), use("b"))
    assert knowing("a").restored(given) == request(TEXT, SIGNED, use("a"), use("b"))


def test_one_that_has_it_stays() -> None:
    given = request(SIGNED, use("a"))
    assert knowing("a").restored(given) == given


@pytest.mark.parametrize(
    "given",
    [{}, {"messages": None}, {"messages": [None, 1, {}]}, request(None, 1, {"type": "tool_use"}),
     request(use(None)), request(use("a"), role="user"), {"messages": [{"role": "assistant", "content": "x"}]}],
    ids=["empty", "no list", "no objects", "no blocks", "no id", "of the user", "a text"],
)  # fmt: skip
def test_all_else_stays_as_it_is(given: Json) -> None:
    assert knowing("a").restored(given) == given


def test_the_oldest_are_forgotten() -> None:
    memory = knowing("a", "b", "c", most=2)
    assert memory.restored(request(use("a"))) == request(use("a"))
    assert memory.restored(request(use("c"))) == request(SIGNED, use("c"))


def test_so_are_those_that_are_too_much_together() -> None:
    memory = knowing("a", "b", "b", "b", largest=2 * len(SIGNATURE))
    assert memory.restored(request(use("a"))) == request(SIGNED, use("a"))
    memory.learn({"c": SIGNATURE})
    assert memory.restored(request(use("a"))) == request(use("a"))


def test_signatures_are_found_in_an_answer() -> None:
    said = {"type": "thinking", "thinking": "hm", "signature": SIGNATURE}
    assert signatures_in([said, SIGNED, use("a"), use("b"), SIGNED, TEXT]) == {"a": SIGNATURE}
