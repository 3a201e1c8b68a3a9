"""What /status?explain says is what then happens: `preview_route` is held against the pool that is asked."""

from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.failover.ineligible import ADD_ACCOUNT, CANT_BE_CAPPED
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.ramp import FIRST
from neurolink_mitm.core.providers.destinations import entries
from neurolink_mitm.core.settings.values import Config, Fallback, ModelMapping, Routing
from neurolink_mitm.core.status.explain import preview_route
from tests.fakes import NOW, make_account, make_failure

OPUS = "claude-opus-4-6"
LIMITED = make_failure(429, "retry-after: 10")
ROUTING = Routing(
    model_mappings=(
        ModelMapping("best", OPUS),
        ModelMapping("gpt-*", "gpt-x", "openai"),
        ModelMapping("llama", "llama", "groq"),
    ),
    fallback_chain=(Fallback("openai", "gpt-x"),),
    passthrough_models=("claude-pure",),
)
KEYS = {"OPENAI_API_KEY": "k"}


def pool_of(labels: str = "ab", cooling: str = "", keys: dict[str, str] = KEYS) -> Pool:
    others = entries(Config(routing=ROUTING), keys)
    pool = Pool([make_account(label) for label in labels], fallbacks=others)
    for label in cooling:
        asked = Requirements(claude_code=True, model=OPUS)
        pool.failed(f"anthropic:{label}", asked, LIMITED, sent_at=NOW, now=NOW)
    return pool


def told(
    pool: Pool, model: str | None = OPUS, **requirements: Any
) -> tuple[list[str], dict[str, Any]]:
    """A line for each row, `>` for the one that is next, and the route."""
    found: Any = preview_route(
        pool, ROUTING, Requirements(claude_code=True, model=model, **requirements), NOW
    )
    rows = [
        f"{'>' if row['next'] else '+' if row['usable'] else '-'} {row['label']}: {row['reason']}"
        for row in found["explain"]
    ]
    return rows, found["route"]


def outcome(route: dict[str, Any]) -> tuple[str | None, int | None]:
    return route["next"], route["status"]


@pytest.mark.parametrize("model", [OPUS, None, "best"])
def test_the_accounts_come_first_and_the_chain_behind_them(model: str | None) -> None:
    rows, route = told(pool_of(), model)
    assert rows == [
        "> a: fill-first",
        "+ b: usable, but not next by fill-first",
        "+ openai/gpt-x: usable, after those above",
    ]
    assert outcome(route) == ("anthropic:a", None)


@pytest.mark.parametrize(
    ("model", "asked_for", "rule"),
    [
        (OPUS, OPUS, "claude-*"),
        ("best", OPUS, "model-mappings: best"),
        ("gpt-9", "gpt-x", "model-mappings: gpt-*"),
        (None, None, "any model"),
    ],
)
def test_it_says_what_is_asked_for_and_by_which_rule(
    model: str | None, asked_for: str | None, rule: str
) -> None:
    _, route = told(pool_of(), model)
    assert (route["asked"], route["model"], route["rule"]) == (model, asked_for, rule)


def test_when_all_are_cooling_the_chain_serves() -> None:
    rows, route = told(pool_of(cooling="ab"))
    assert rows[-1] == "> openai/gpt-x: fallback-chain"
    assert outcome(route) == ("openai/gpt-x", None)
    assert route["model"] == "gpt-x"


def test_who_waits_for_a_probe_is_not_served_by_the_chain() -> None:
    """It serves once the probe has failed, or takes too long."""
    pool = pool_of("a", cooling="a")
    pool.clock_moved(-11)
    pool.began("anthropic:a", Requirements(claude_code=True, model=OPUS), NOW - 1)
    rows, route = told(pool)
    assert rows == [
        "- a: being tried again after rate limit (429)",
        "+ openai/gpt-x: usable, after those above",
    ]
    assert outcome(route) == (None, None)
    assert route["message"] == "waits for the probe of anthropic:a"


def test_a_ramp_that_is_full_is_shown() -> None:
    pool, asked = pool_of("ab"), Requirements(claude_code=True, model=OPUS)
    for n in range(FIRST):
        pool.began("anthropic:a", asked, NOW - 1 / (n + 2), moved=True)
    rows, route = told(pool)
    waits = "usable, but the next request waits for its turn on anthropic:a"
    assert rows[:2] == [f"+ a: {waits}", f"+ b: {waits}"]
    assert (route["next"], route["message"]) == (None, "waits for its turn on anthropic:a")


def test_a_mapped_model_asks_no_account() -> None:
    rows, route = told(pool_of(), "gpt-9")
    assert rows == [
        "- a: not asked: model-mappings: gpt-*",
        "- b: not asked: model-mappings: gpt-*",
        "> openai/gpt-x: model-mappings: gpt-*",
    ]
    assert outcome(route) == ("openai/gpt-x", None)


def test_nor_does_the_chain_behind_it() -> None:
    rows, route = told(pool_of(), "llama")
    assert rows[2:] == [
        "- groq/llama: no key: set GROQ_API_KEY in the environment or .env, or providers.groq.apiKey",
        "> openai/gpt-x: fallback-chain",
    ]
    assert outcome(route) == ("openai/gpt-x", None)


def test_a_model_that_nobody_serves_is_a_404() -> None:
    rows, route = told(pool_of(), "gemma")
    assert rows == ["- a: not asked: no route", "- b: not asked: no route"]
    assert outcome(route) == (None, 404)
    assert route["message"].startswith("model: 'gemma' is not served here. Ask for: claude-")


@pytest.mark.parametrize(
    ("pool", "model", "status", "message"),
    [
        (pool_of(cooling="ab", keys={}), OPUS, 429, "All accounts are cooling"),
        (pool_of(cooling="ab"), "claude-pure", 429, "All accounts are cooling"),
        (pool_of("", keys={}), OPUS, 400, "No provider serves this model"),
        (pool_of(), "gemini-x", None, None),
        (pool_of(keys={}), "llama", 400, "No provider serves this model"),
    ],
    ids=[
        "no-key-for-the-chain",
        "no-chain",
        "no-account",
        "gemini-then-chain",
        "mapped-without-key",
    ],
)
def test_what_the_client_gets_where_nobody_serves(
    pool: Pool, model: str, status: int | None, message: str | None
) -> None:
    _, route = told(pool, model)
    assert route["status"] == status
    assert (route["message"] or "").startswith(message or "")


def test_another_client_is_told_of_itself() -> None:
    pool = Pool([make_account("a", "sk-ant-oat-test-a")])
    unmapped: Any = preview_route(pool, Routing(), Requirements(model="gpt-9"), NOW)
    assert unmapped["route"]["status"] == 404
    assert '- from: "gpt-9"' in unmapped["route"]["message"]
    found: Any = preview_route(pool, Routing(), Requirements(model=OPUS), NOW)
    assert found["route"]["status"] == 400
    assert found["route"]["message"].endswith(ADD_ACCOUNT)


def test_counting_has_limits_of_its_own() -> None:
    _, route = told(pool_of(cooling="a"))
    assert route["next"] == "anthropic:b"
    assert route["countTokens"] == {
        "next": "anthropic:a",
        "status": None,
        "message": None,
        "heldUntil": None,
    }


@pytest.mark.parametrize("hold", [0, 5, 3600])
def test_until_when_a_request_would_be_held(hold: float) -> None:
    pool = pool_of(cooling="ab", keys={})
    found: Any = preview_route(pool, Routing(hold=hold), Requirements(True, "claude-pure"), NOW)
    route = found["route"]
    assert (route["status"], route["heldUntil"] is None) == (429, hold < 3600)
    assert route["countTokens"]["heldUntil"] is None


@pytest.mark.parametrize(
    ("cap", "token", "refused"),
    [(None, "sk-ant-key", False), (5.0, "sk-ant-key", True), (5.0, "sk-ant-oat-test-a", False)],
    ids=["no-cap", "key", "subscription"],
)
def test_what_is_not_counted_under_a_cap(cap: float | None, token: str, refused: bool) -> None:
    pool = Pool([make_account("a", token)], budget=Budget(cap=cap))
    _, route = told(pool)
    assert (CANT_BE_CAPPED in (route["uncounted"] or "")) == refused
    assert route["next"] == "anthropic:a"


def test_it_takes_nobodys_turn() -> None:
    pool = Pool([make_account(label) for label in "ab"], "round-robin")
    first = preview_route(pool, ROUTING, Requirements(claude_code=True, model=OPUS), NOW)
    assert preview_route(pool, ROUTING, Requirements(claude_code=True, model=OPUS), NOW) == first
