from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.chat.equal_calls import without_equal_calls

Json = dict[str, Any]


def use(known: str, **given: Any) -> Json:
    return {"type": "tool_use", "id": known, "name": "Read", "input": given}


def result(known: str, content: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": known, "content": content}


def round_of(uses: list[Json], results: list[Json]) -> list[Json]:
    return [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def test_equal_calls_become_one_with_the_results_of_all() -> None:
    given = round_of([use("a", x=1, y=2), use("b", y=2, x=1), use("c", x=2)],
                     [result("a", "one"), result("b", [text("two")]), result("c", "three")])  # fmt: skip
    assert list(without_equal_calls(given)) == round_of(
        [use("a", x=1, y=2), use("c", x=2)],
        [result("a", [text("one"), text("two")]), result("c", "three")],
    )


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_in_whatever_order_the_results_come(order: tuple[str, str]) -> None:
    given = round_of([use("a"), use("b")], [result(known, known) for known in order])
    _, user = without_equal_calls(given)
    assert user["content"] == [result("a", [text(known) for known in order])]


def test_the_same_call_in_another_message_is_another_one() -> None:
    given = [*round_of([use("a")], [result("a", "1")]), *round_of([use("b")], [result("b", "2")])]
    assert list(without_equal_calls(given)) == given


def test_what_is_given_is_not_changed() -> None:
    given = round_of([use("a"), use("b")], [result("a", "1"), result("b", "2")])
    list(without_equal_calls(given))
    assert given == round_of([use("a"), use("b")], [result("a", "1"), result("b", "2")])


def test_other_blocks_stay() -> None:
    given = round_of([text("I look."), use("a")], [text("so"), result("a", "1")])
    assert list(without_equal_calls(given)) == given
