from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from neurolink_mitm.core.shaping.detectors import finders
from neurolink_mitm.core.shaping.expressions import PATIENCE, Expression, TooSlowError, fault
from neurolink_mitm.core.shaping.outgoing import NotAtOnceError, RefusedError
from neurolink_mitm.core.shaping.pipeline import Pipeline, UnfinishedError
from neurolink_mitm.core.shaping.word_obfuscator import WordObfuscator
from tests.core.shaping.drafts import draft

ENDLESS = r"(a|aa)+$"
"""Tries each way to cut a run of `a`, of which there are more than atoms."""
RUN = "a" * 200 + "b"


def test_one_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(TooSlowError, match=r"patterns\[3\] takes too long"):
        list(Expression(3, ENDLESS).find(RUN, 0.05))


def test_none_is_begun_when_the_time_is_up() -> None:
    with pytest.raises(TooSlowError):
        list(Expression(0, "b").find("b", 0))


def test_what_is_looked_for_says_nothing_of_the_request() -> None:
    with pytest.raises(TooSlowError) as raised:
        list(Expression(0, ENDLESS).find(RUN, 0.05))
    assert "aaa" not in str(raised.value)


@pytest.mark.parametrize(
    "expression", [r"(?<=x)a", r"(a)\1", r"(?P<n>a)(?P=n)", r"\bm\u00fcller\w*", "(?i)a"]
)
def test_what_python_takes_is_taken(expression: str) -> None:
    assert fault(expression) is None


@pytest.mark.parametrize("expression", ["(", "[a", "(?P<n", "a{2,1}", "*"])
def test_what_it_does_not_take_is_a_fault(expression: str) -> None:
    assert fault(expression)


def test_a_request_that_would_take_too_long_is_refused() -> None:
    """Of what was not looked through, nobody knows what is in it. The time is that of all strings together."""
    clock = itertools.count(0, PATIENCE / 10)
    words = WordObfuscator(b"key", finders((), ["x"], (), ()), lambda: next(clock))
    with pytest.raises(RefusedError, match="takes too long"):
        words.rewrite(
            draft(
                {"messages": [{"content": [{"type": "text", "text": f"{n}"}]} for n in range(20)]}
            )
        )


def test_what_is_wanted_at_once_is_left_for_later() -> None:
    words = WordObfuscator(b"key", finders((), [ENDLESS], (), ()))
    wanted = replace(draft({"messages": [{"content": RUN}]}), at_once=True)
    with pytest.raises(NotAtOnceError):
        words.rewrite(wanted)


@pytest.mark.parametrize("content", ["a" * (1 << 20), ["x"] * 60_000], ids=["long", "many"])
def test_so_is_what_is_large(content: object) -> None:
    words = WordObfuscator(b"key", finders(["bluebird"], (), (), ()))
    with pytest.raises(NotAtOnceError):
        words.rewrite(replace(draft({"messages": [{"content": content}]}), at_once=True))


def test_and_it_goes_on_where_it_stopped() -> None:
    words = WordObfuscator(b"key", finders(["bluebird"], (), (), ()))
    text = "a" * (1 << 20) + " bluebird"
    wanted = replace(draft({"messages": [{"content": text}]}), at_once=True)
    with pytest.raises(UnfinishedError) as raised:
        Pipeline("always", (("words", words),)).shape(wanted)
    assert dict(raised.value.go_on().counts) == {"word": 1}
