from __future__ import annotations

import pytest

from neurolink_mitm.core.cost.budget import (
    NEVER,
    NOT_METERED,
    UNPRICED,
    UNPRICED_FOR_CLIENT,
    Budget,
    ClientUse,
    Metering,
    is_paid,
    metering_at,
    unpriced,
)
from neurolink_mitm.core.cost.prices import Prices
from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.settings.values import ModelPrice
from tests.fakes import NOW, make_account


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages/batches/b_1/results"),
        ("HEAD", "/v1/x"),
        ("DELETE", "/v1/files/f_1"),
        ("POST", "/v1/files"),
        ("POST", "/v1/files?beta=true"),
        ("POST", "/v1/messages/batches/b_1/cancel"),
        ("POST", "/v1/skills/s_1/versions"),
        ("POST", "/v1/organizations/invites"),
    ],
)
def test_what_is_free(method: str, path: str) -> None:
    assert metering_at(method, path) is Metering.FREE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/messages/batches?beta=true"),
        ("POST", "/v1/messages/batches/"),
        ("POST", "/v1/messages/batches/b_1/cancel/more"),
        ("PUT", "/v1/messages/batches"),
        ("POST", "/v1/complete"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/sessions"),
        ("POST", "/v1/filesystem"),
        ("PUT", "/v1/files"),
        ("PATCH", "/v1/x"),
        ("post", "/v1/files"),
        ("get", "/v1/files"),
    ],
)
def test_what_nobody_can_tell(method: str, path: str) -> None:
    assert metering_at(method, path) is Metering.UNMETERED


LOGIN = make_account("login", "sk-ant-oat01-test")
KEY = make_account("key")
OPENAI = make_account("openai/x", key="openai/x", type="provider", provider="openai")
OLLAMA = make_account("ollama/x", key="ollama/x", type="provider", provider="ollama")
TOMORROW = NOW + 3600


@pytest.mark.parametrize(
    ("account", "paid"),
    [(LOGIN, False), (KEY, True), (OPENAI, True), (OLLAMA, False)],
    ids=["subscription", "key", "provider", "own-machine"],
)
def test_what_is_paid_per_use(account: Account, paid: bool) -> None:
    assert is_paid(account) == paid


@pytest.mark.parametrize(
    ("account", "beside", "skipped"),
    [(LOGIN, True, False), (KEY, True, True), (KEY, False, False), (OPENAI, True, True),
     (OLLAMA, True, False)],
    ids=["subscription", "key", "key-alone", "provider", "own-machine"],
)  # fmt: skip
def test_never(account: Account, beside: bool, skipped: bool) -> None:
    found = Budget("never").ineligible(account, NOW, beside_subscription=beside)
    assert found == (Ineligible(NEVER) if skipped else None)


def skip(budget: Budget, account: Account = OPENAI, now: float = NOW) -> Ineligible | None:
    return budget.ineligible(account, now, beside_subscription=True)


def test_below_the_cap_it_may_be_spent() -> None:
    assert skip(Budget(cap=20.0, spent=19.99, day_ends_at=TOMORROW)) is None


def test_at_the_cap_it_is_over_until_tomorrow() -> None:
    found = skip(Budget(cap=20.0, spent=20.004, day_ends_at=TOMORROW))
    assert found == Ineligible(
        "routing.daily-cap-usd is reached: $20.00 of $20.00 spent today", TOMORROW, capped=True
    )


def test_tomorrow_begins_with_nothing_spent() -> None:
    budget = Budget(cap=20.0, spent=25.0, day_ends_at=TOMORROW)
    assert skip(budget, now=TOMORROW) is None
    assert budget.spent_today(TOMORROW) == 0.0


def test_a_subscription_is_not_capped() -> None:
    assert skip(Budget(cap=0.0, day_ends_at=TOMORROW), LOGIN) is None


def test_a_cap_of_nothing_stops_all_that_costs() -> None:
    assert skip(Budget(cap=0.0, day_ends_at=TOMORROW)) is not None


def test_what_has_no_known_price_is_not_asked_under_a_cap() -> None:
    found = skip(Budget(cap=20.0, unpriced={"openai/x"}))
    assert found == Ineligible("its price is not known, and routing.daily-cap-usd is set")
    assert skip(Budget(unpriced={"openai/x"})) is None


def test_a_price_of_the_users_own_is_known() -> None:
    other = make_account("openai/x", key="openai/x", type="provider", provider="openai", model="x")
    prices = Prices({})
    assert unpriced([other], prices) == {"openai/x"}
    assert unpriced([other], prices.overridden({"x": ModelPrice(1, 1)})) == frozenset()


@pytest.mark.parametrize(
    ("account", "cap", "skipped"),
    [(KEY, 20.0, True), (OPENAI, 20.0, True), (LOGIN, 20.0, False), (KEY, None, False)],
    ids=["key", "provider", "subscription", "no-cap"],
)
def test_what_costs_nobody_knows_how_much_is_not_asked_under_a_cap(
    account: Account, cap: float | None, skipped: bool
) -> None:
    found = Budget(cap=cap).ineligible(
        account, NOW, beside_subscription=True, metering=Metering.UNMETERED
    )
    assert found == (Ineligible(NOT_METERED) if skipped else None)


def test_what_is_free_goes_on_when_the_cap_is_reached() -> None:
    budget = Budget(cap=1.0, spent=1.0, day_ends_at=TOMORROW)
    assert budget.ineligible(KEY, NOW, beside_subscription=True, metering=Metering.FREE) is None


def test_what_has_no_known_price_is_not_asked_for_a_client_with_a_cap() -> None:
    def skipped(metering: Metering) -> Ineligible | None:
        return Budget(unpriced={"openai/x"}).ineligible(
            OPENAI, NOW, beside_subscription=True, metering=metering, client_capped=True
        )

    assert skipped(Metering.METERED) == Ineligible(UNPRICED_FOR_CLIENT)
    assert skipped(Metering.FREE) is None


@pytest.mark.parametrize(
    ("cap", "client_capped", "why"),
    [(None, False, None), (5.0, False, UNPRICED), (None, True, UNPRICED_FOR_CLIENT)],
    ids=["no-cap", "cap", "client"],
)
def test_an_entry_for_any_model_is_bounded_where_the_model_has_a_price(
    cap: float | None, client_capped: bool, why: str | None
) -> None:
    budget, prices = Budget(cap=cap), Prices({"openai": {"x": (1e-6, 1e-6)}})
    assert budget.unbounded(OPENAI, "y", prices, client_capped=client_capped) == why
    assert budget.unbounded(OPENAI, "x", prices, client_capped=client_capped) is None
    assert budget.unbounded(OLLAMA, "y", prices, client_capped=client_capped) is None


def test_uses_add_up_and_the_last_one_is_the_latest() -> None:
    use = ClientUse(1.0, 2.0, 3, NOW)
    use.add(ClientUse(0.5, 0.5, 1, NOW - 60))
    assert use == ClientUse(1.5, 2.5, 4, NOW)
