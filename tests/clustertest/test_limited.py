from __future__ import annotations

import pytest

from clustertest.scenarios.limited import RETRY_AFTER, judge
from clustertest.upstream import Arrival


def refused(sent: float, answered: float | None = None, status: int = 429) -> Arrival:
    """A request of the limited account; upstream answers within a millisecond."""
    at = sent + 0.002
    return Arrival(1, "a", 0, 0, sent, at, status, answered or at + 0.001)


END = 10.003 + RETRY_AFTER
"""The end of the cooldown of a 429 that was sent at 10."""


@pytest.mark.parametrize(
    ("arrivals", "levels", "unmet"),
    [
        ([refused(10), refused(END + 0.1)], [2, 2, 2], set()),
        ([refused(10), refused(10.04), refused(END + 0.1)], [2, 2, 2], set()),
        ([refused(10), refused(10.06), refused(END + 0.1)], [2, 2, 2], {"early"}),
        ([refused(10), refused(END + 0.1), refused(END + 0.11)], [2, 2, 2], {"second"}),
        ([refused(10), refused(END + 0.1)], [2, 3, 2], {"level"}),
        ([refused(10)], [1, 1, 1], {"cooldowns"}),
        ([refused(10, status=200)], [0, 0, 0], {"no 429"}),
    ],
    ids=["probe", "in flight", "early", "two probes", "level", "no probe", "never limited"],
)
def test_what_reaches_a_limited_account(
    arrivals: list[Arrival], levels: list[int], unmet: set[str]
) -> None:
    names = {
        "sent over 50 ms after a 429, in its cooldown": "early",
        "second probes of a cooldown": "second",
        "cooldowns": "cooldowns",
        "back-off level at the replicas": "level",
        "429 of the limited account": "no 429",
    }
    figures = judge(arrivals, 0.05, levels)
    assert {names[figure.what] for figure in figures if not figure.met} == unmet
