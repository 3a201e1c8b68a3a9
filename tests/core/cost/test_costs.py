from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.cost.costs import cost_of, spent_on
from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.exchange import Attempt, Exchange, Kind, Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.response.reader import EventStreamReader
from neurolink_mitm.core.response.usage import TokenUsage
from tests.fakes import make_account, make_attempt, make_exchange, make_other

PRICES = Prices({"anthropic": {"claude-x": [1.0, 5.0]}, "openai": {"gpt-x": [2.0, 8.0]}})
TOLD = TokenUsage(model="claude-x", input_tokens=1_000_000, output_tokens=1_000_000)
LOGIN = make_account("login", "sk-ant-oat01-test")


def served(account: Account, usage: TokenUsage = TOLD, size: int = 0, **more: Any) -> Exchange:
    answer = EventStreamReader()
    answer.released, answer.usage, answer.size = True, usage, size
    known: dict[str, Any] = {"model": "claude-x", "outcome": Outcome.COMPLETE, **more}
    return make_exchange(attempts=[make_attempt(account)], reader=answer, **known)


@pytest.mark.parametrize(
    ("account", "cost"),
    [(make_account(), 6.0), (LOGIN, 6.0), (make_other(), 10.0), (make_other("groq"), None)],
    ids=["key", "subscription", "provider", "price-unknown"],
)
def test_what_an_answer_costs(account: Account, cost: float | None) -> None:
    assert cost_of(served(account), PRICES) == cost


def test_what_was_not_served_costs_nothing() -> None:
    exchange = make_exchange(
        model="claude-x", attempts=[make_attempt(make_account(), reader=EventStreamReader())]
    )
    assert cost_of(exchange, PRICES) is None
    assert spent_on(exchange, PRICES, 0) == 0.0
    assert cost_of(make_exchange(), PRICES) is None


@pytest.mark.parametrize(
    ("account", "spent"),
    [(make_account(), 6.0), (LOGIN, 0.0), (make_other(), 10.0), (make_other("ollama"), 0.0)],
    ids=["key", "subscription", "provider", "own-machine"],
)
def test_only_what_is_paid_per_use_is_spent(account: Account, spent: float) -> None:
    assert spent_on(served(account), PRICES, 0) == spent


CUT = [Outcome.TRUNCATED, Outcome.CANCELLED, Outcome.ERROR]


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.ERROR], ids=["left", "stopped"])
def test_an_attempt_whose_end_nobody_waited_for_is_paid_for_its_prompt(outcome: Outcome) -> None:
    """It was sent, and no head had come when the client left or the proxy stopped."""
    attempts = [make_attempt(make_account(), reader=None)]
    exchange = make_exchange(model="claude-x", outcome=outcome, attempts=attempts)
    assert spent_on(exchange, PRICES, 4_000_000) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "attempts",
    [[], [make_attempt(make_account(), failure=Failure.of_status(529, b""))]],
    ids=["not-sent", "failed"],
)
def test_but_not_one_that_failed_or_was_not_sent(attempts: list[Attempt]) -> None:
    exchange = make_exchange(model="claude-x", outcome=Outcome.CANCELLED, attempts=attempts)
    assert spent_on(exchange, PRICES, 4_000_000) == 0


@pytest.mark.parametrize("outcome", CUT)
def test_an_answer_that_broke_off_is_estimated(outcome: Outcome) -> None:
    """Other providers tell their tokens at the end only, and want to be paid all the same."""
    untold = TokenUsage(input_tokens=0, output_tokens=0)
    exchange = served(make_other(), untold, 30_000_000, outcome=outcome)
    # a million tokens asked, a million streamed
    assert spent_on(exchange, PRICES, 4_000_000) == pytest.approx(10.0)


def test_but_not_below_what_it_told() -> None:
    exchange = served(make_other(), TOLD, 30, outcome=Outcome.TRUNCATED)
    assert spent_on(exchange, PRICES, 4) == pytest.approx(10.0)


def test_input_that_was_cached_is_not_counted_twice() -> None:
    usage = TokenUsage(input_tokens=0, cache_read_tokens=1_000_000, output_tokens=0)
    exchange = served(make_account(), usage, outcome=Outcome.CANCELLED)
    assert spent_on(exchange, PRICES, 4_000_000) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("kind", "spent"),
    [(Kind.MESSAGES, 6.0), (Kind.COUNT_TOKENS, 0.0)],
    ids=["messages", "counting"],
)
def test_an_answer_that_could_not_be_read_is_estimated(kind: Kind, spent: float) -> None:
    exchange = served(make_account(), TokenUsage(), 30_000_000, kind=kind)
    assert spent_on(exchange, PRICES, 4_000_000) == pytest.approx(spent)


def test_counting_that_broke_off_costs_nothing() -> None:
    exchange = served(make_account(), kind=Kind.COUNT_TOKENS, outcome=Outcome.CANCELLED)
    assert spent_on(exchange, PRICES, 4_000_000) == 0.0
