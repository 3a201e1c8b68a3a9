"""What the holder of a client key may ask for, and what the others read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cost.budget import Budget, ClientUse
from neurolink_mitm.core.cost.client_limits import (
    MOST_BUCKETS,
    ClientLimits,
    may_ask_for,
    model_not_allowed,
)
from neurolink_mitm.core.exchange import Exchange, Reply
from neurolink_mitm.core.logs.timestamps import next_midnight
from neurolink_mitm.core.openai.api import api_of
from neurolink_mitm.core.request.routing import kind_of
from neurolink_mitm.core.settings.values import Routing
from tests.fakes import NOW, make_exchange

TONIGHT = next_midnight(NOW)
MESSAGES = ("POST", "/v1/messages")
CHAT = ("POST", "/v1/chat/completions")


def key(name: str = "bob", **limits: Any) -> ClientKey:
    return ClientKey(name, f"digest of {name}", NOW, **limits)


def request(client: ClientKey | None, method: str = "POST", path: str = "/v1/messages") -> Exchange:
    kind, api = kind_of(method, path), api_of(method, path)
    return make_exchange(method=method, path=path, kind=kind, api=api, client_key=client)


def spent(usd: float, ends_at: float = TONIGHT) -> Budget:
    return Budget(day_ends_at=ends_at, clients={"bob": ClientUse(today_usd=usd, total_usd=usd)})


def judged(client: ClientKey | None, *at: str, budget: Budget | None = None) -> Reply | None:
    return ClientLimits().refusal(request(client, *at), budget or spent(0.0), NOW)


CAPPED = key(daily_cap_usd=5.0)
COUNTED = [MESSAGES, CHAT, ("POST", "/v1/responses"), ("POST", "/v1/embeddings"),
           ("POST", "/v1/messages?beta=true")]  # fmt: skip
FREE = [("POST", "/v1/messages/count_tokens"), ("GET", "/v1/models"), ("GET", "/status"), ("GET", "/v1/responses/r_1"),
        ("GET", "/v1/messages/batches/b_1"), ("POST", "/v1/files"), ("POST", "/elsewhere")]  # fmt: skip


@pytest.mark.parametrize("at", COUNTED, ids=lambda at: at[1])
def test_over_its_cap_a_client_reads_who_how_much_and_until_when(at: tuple[str, str]) -> None:
    assert judged(CAPPED, *at, budget=spent(4.999)) is None
    reply = judged(CAPPED, *at, budget=spent(5.0))
    assert reply is not None
    assert (reply.status, reply.error_type, reply.hopeless) == (429, "billing_error", True)
    assert reply.message.startswith(
        "spend limit reached — the client 'bob' has used $5.00 of $5.00 today. It resets at "
    )
    assert " 00:00 " in reply.message
    assert " (in " in reply.message
    assert judged(key("amy", daily_cap_usd=5.0), *at, budget=spent(5.0)) is None


@pytest.mark.parametrize("at", FREE, ids=lambda at: at[1])
def test_what_is_free_goes_on(at: tuple[str, str]) -> None:
    assert judged(CAPPED, *at, budget=spent(50.0)) is None


def test_the_day_after_it_may_again() -> None:
    """Also where nobody has asked since."""
    assert judged(CAPPED, budget=spent(50.0, ends_at=NOW)) is None
    nothing = judged(key(daily_cap_usd=0.0), budget=Budget())
    assert nothing is not None
    assert "$0.00 of $0.00" in nothing.message
    assert "in 1 min" not in nothing.message


@pytest.mark.parametrize("limits", [{"daily_cap_usd": 5.0}, {"models": ("claude-*",)}], ids=str)
@pytest.mark.parametrize(
    "at", [("POST", "/v1/messages/batches"), ("POST", "/v1/complete"), ("PUT", "/v1/x")], ids=str
)
def test_what_can_not_be_judged_is_refused(at: tuple[str, str], limits: dict[str, Any]) -> None:
    reply = judged(key(**limits), *at)
    assert reply is not None
    assert (reply.status, reply.hopeless) == (400, True)
    assert judged(key(rate=5), *at) is None


def test_a_rate_is_a_clients_own_and_comes_back() -> None:
    limits, budget = ClientLimits(), Budget()
    slow, other = key(rate=3), key("amy", rate=3)

    def refused(client: ClientKey, now: float, *at: str) -> int | None:
        reply = limits.refusal(request(client, *at), budget, now)
        assert reply is None or (reply.status, reply.error_type) == (429, "rate_limit_error")
        return reply.retry_after if reply else None

    assert [refused(slow, NOW) for _ in range(5)] == [None, None, None, 20, 20]
    assert refused(other, NOW) is None
    assert refused(slow, NOW, "POST", "/v1/messages/count_tokens") is None
    assert refused(slow, NOW, "GET", "/status") is None
    assert [refused(slow, NOW + 20), refused(slow, NOW + 20)] == [None, 20]
    assert refused(slow, NOW - 90_000) == 20  # the clock was set back
    assert refused(key(rate=4), NOW) is None  # at once


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 5)), max_size=60))
def test_no_minute_has_more_than_the_rate_and_what_was_left(steps: list[tuple[int, int]]) -> None:
    limits, client, now, passed = ClientLimits(), key(rate=6), NOW, []
    for seconds, count in steps:
        now += seconds
        passed += [now for _ in range(count) if not limits.refusal(request(client), Budget(), now)]
    for moment in passed:
        assert sum(moment <= each < moment + 60 for each in passed) <= 2 * 6


def test_buckets_of_revoked_keys_are_forgotten() -> None:
    limits = ClientLimits()
    for number in range(MOST_BUCKETS + 20):
        limits.refusal(request(key(f"c{number}", rate=1)), Budget(), NOW)
    assert len(limits.buckets) == MOST_BUCKETS


@pytest.mark.parametrize(
    ("models", "model", "allowed"),
    [
        ((), "claude-opus-4-6", True),
        (("claude-haiku-*",), "claude-haiku-4-5", True),
        (("claude-haiku-*",), "claude-opus-4-6", False),
        (("claude-haiku-*",), "Claude-Haiku-4-5", False),
        (("claude-haiku-*", "gpt-5"), "gpt-5", True),
        (("gpt-5",), "gpt-5-mini", False),
        (("gpt-5",), "", False),
        (("claude-sonnet-4-6[1m]",), "claude-sonnet-4-6[1m]", True),
    ],
)
def test_models(models: tuple[str, ...], model: str, allowed: bool) -> None:
    assert may_ask_for(key(models=models), model) is allowed
    assert (model_not_allowed(key(models=models), model, Routing()) is None) is allowed


def test_a_model_that_is_not_for_it_is_a_404_with_those_that_are() -> None:
    reply = model_not_allowed(key(models=("claude-haiku-4-*",)), "claude-opus-4-6", Routing())
    assert reply is not None
    assert (reply.status, reply.error_type, reply.hopeless) == (404, "not_found_error", True)
    assert "claude-haiku-4-5" in reply.message
    assert "sonnet" not in reply.message
    none = model_not_allowed(key(models=("x-*",)), "a" * 5000, Routing())
    assert none is not None
    assert none.message.endswith("Ask for: x-*")
    assert len(none.message) < 300
