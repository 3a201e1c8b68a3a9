from __future__ import annotations

import pytest

from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.choice import Choice
from tests.core.pool.pools import (
    A,
    C,
)
from tests.fakes import make_account


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        (Choice(make_account("a"), "fill-first", {}), "took anthropic:a by fill-first"),
        (Choice(None, "fill-first", {}), "no account left"),
        (
            Choice(
                make_account("b"),
                "session affinity",
                {A: Ineligible("tired"), C: Ineligible("ill", 1.0)},
            ),
            "took anthropic:b by session affinity;"
            " skipped anthropic:a: tired; skipped anthropic:c: ill",
        ),
        (
            Choice(None, "x", {A: Ineligible("tired")}),
            "no account left; skipped anthropic:a: tired",
        ),
        (
            Choice(make_account("b"), "fill-first", {A: Ineligible("tired")}, 489),
            "took anthropic:b by fill-first; skipped anthropic:a: tired; skipped 489 more",
        ),
    ],
    ids=["first", "none", "passed-over", "all-passed-over", "many-passed-over"],
)
def test_why(choice: Choice, why: str) -> None:
    assert choice.why == why
