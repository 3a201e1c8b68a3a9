"""The headers are those of the threads that `core/failover/errors.py` names."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.pool.limit_headers import UNIFIED
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT, Limit, limit_of, scope_of
from neurolink_mitm.core.request.headers import Fields
from tests.fakes import make_failure


def fields(lines: str) -> Fields:
    return make_failure(429, lines).headers


OPUS, SONNET, HAIKU = "claude-opus-4-6", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
NEW = "claude-fable-5-1"

# router-for-me/CLIProxyAPI#5915, and as the same 429 is quoted elsewhere
OVERAGE_INCLUDED = f"""
{UNIFIED}5h-status: allowed
{UNIFIED}5h-utilization: 0.0
{UNIFIED}7d-status: allowed
{UNIFIED}7d-utilization: 0.69
{UNIFIED}7d_oi-status: rejected
{UNIFIED}7d_oi-surpassed-threshold: 1.0
{UNIFIED}7d_oi-utilization: 1.02
{UNIFIED}fallback-percentage: 0.5
{UNIFIED}overage-disabled-reason: org_level_disabled
{UNIFIED}overage-status: rejected
{UNIFIED}representative-claim: seven_day_overage_included
{UNIFIED}status: rejected
retry-after: 51811
x-should-retry: true
"""
# tombii/better-ccflare#261: all that came
OUT_OF_CREDITS = f"""
{UNIFIED}overage-disabled-reason: out_of_credits
x-should-retry: true
x-robots-tag: none
"""
EXHAUSTED_KEY = """
anthropic-ratelimit-requests-limit: 50
anthropic-ratelimit-requests-remaining: 0
anthropic-ratelimit-requests-reset: 2025-10-09T08:54:00Z
anthropic-ratelimit-tokens-limit: 40000
anthropic-ratelimit-tokens-remaining: 38000
anthropic-ratelimit-tokens-reset: 2025-10-09T08:54:00Z
retry-after: 12
"""
BARE = "x-should-retry: true"


def rejected(claim: str, five_hour: str = "allowed", seven_day: str = "allowed") -> str:
    return f"""
{UNIFIED}status: rejected
{UNIFIED}representative-claim: {claim}
{UNIFIED}5h-status: {five_hour}
{UNIFIED}7d-status: {seven_day}
retry-after: 3600
"""


def without(headers: str, *names: str) -> str:
    return "\n".join(line for line in headers.splitlines() if line.partition(":")[0] not in names)


def scope_by(limit: Limit, headers: str, message: str = "", model: str | None = OPUS) -> str:
    """Return the scope of the cooldown, after a check of the limit."""
    assert limit_of(fields(headers), message) is limit
    return scope_of(429, fields(headers), message, model)


@pytest.mark.parametrize(
    "headers",
    [
        OVERAGE_INCLUDED,
        OVERAGE_INCLUDED.replace("7d-status: allowed", "7d-status: allowed_warning"),
        OVERAGE_INCLUDED.replace("seven_day_overage_included", "seven_day"),
        OVERAGE_INCLUDED.title(),
        without(OVERAGE_INCLUDED, f"{UNIFIED}5h-status"),
        without(OVERAGE_INCLUDED, f"{UNIFIED}representative-claim"),
    ],
    ids=["as-seen", "warned", "claim-of-the-week", "title-case", "5h-untold", "no-claim"],
)
def test_a_window_of_some_models_limits_the_one_asked_for(headers: str) -> None:
    """Both common windows are open, and yet it is rejected."""
    headers = headers.replace("Rejected", "rejected").replace("Allowed", "allowed")
    assert scope_by(Limit.MODEL, headers, model=NEW) == "*fable*"
    assert scope_by(Limit.MODEL, headers, model=OPUS) == OPUS


@pytest.mark.parametrize(
    "headers",
    [
        rejected("five_hour", five_hour="rejected"),
        rejected("seven_day", seven_day="rejected"),
        rejected("seven_day_opus", seven_day="rejected"),
        rejected("five_hour", five_hour="rejected") + OUT_OF_CREDITS,
        OVERAGE_INCLUDED.replace("7d-status: allowed", "7d-status: rejected"),
        without(rejected("five_hour"), f"{UNIFIED}5h-status", f"{UNIFIED}7d-status"),
        without(rejected("five_hour"), f"{UNIFIED}5h-status", f"{UNIFIED}7d-status")
        + OUT_OF_CREDITS,
        without(rejected("seven_day"), f"{UNIFIED}5h-status", f"{UNIFIED}7d-status")
        + OUT_OF_CREDITS,
        f"{UNIFIED}status: rejected",
        f"{UNIFIED}status: allowed\n{UNIFIED}5h-status: allowed\n{UNIFIED}7d-status: allowed",
        EXHAUSTED_KEY,
        "retry-after: 12",
        f"{BARE}\nretry-after: 12",
        "x-should-retry: false",
        "",
    ],
    ids=["5h", "7d", "7d-and-opus", "5h-and-no-credits", "7d-and-some", "claim-alone",
         "5h-claim-and-no-credits", "7d-claim-and-no-credits", "status-alone", "allowed", "key",
         "retry-after", "with-retry-after",
         "not-to-be-retried", "nothing"],
)  # fmt: skip
def test_the_account_is_limited(headers: str) -> None:
    assert scope_by(Limit.ACCOUNT, headers) == WHOLE_ACCOUNT


@pytest.mark.parametrize(
    ("claim", "model", "scope"),
    [
        ("seven_day_opus", OPUS, "*opus*"),
        ("seven_day_sonnet", SONNET, "*sonnet*"),
        ("seven_day_sonnet", "claude-3-5-sonnet-20241022", "*sonnet*"),
        ("seven_day_opus", NEW, NEW),
    ],
    ids=["opus", "sonnet", "old-name", "of-another-family"],
)
def test_a_claim_of_a_family_limits_the_family(claim: str, model: str, scope: str) -> None:
    assert scope_by(Limit.MODEL, rejected(claim), model=model) == scope


@pytest.mark.parametrize(
    ("headers", "model", "scope"),
    [
        (OUT_OF_CREDITS, SONNET, "*sonnet*"),
        (OUT_OF_CREDITS, HAIKU, "*haiku*"),
        (OUT_OF_CREDITS, NEW, "*fable*"),
        (OUT_OF_CREDITS, "claude-x-1", "claude-x-1"),
        (OUT_OF_CREDITS + "retry-after: 9", OPUS, "*opus*"),
        (OUT_OF_CREDITS + rejected("seven_day_opus"), OPUS, "*opus*"),
    ],
    ids=["sonnet", "haiku", "new", "no-family", "retry-after", "claim"],
)
def test_credits_limit_the_family(headers: str, model: str, scope: str) -> None:
    assert scope_by(Limit.CREDITS, headers, model=model) == scope


@pytest.mark.parametrize(
    "message",
    [
        f"rate limit of 40,000 input tokens per minute (org: 1d2e, model: {SONNET}). For details",
        f"rate limit (model: {SONNET})",
        f"Model:{SONNET} is limited",
        f"model `{SONNET}` is limited",
        f"model: `{SONNET}`",
        "limited for model: claude-sonnet-4",
        "model: claude-sonnet-4-5.",
    ],
    ids=["anthropic", "short", "tight", "quoted", "both", "class", "end-of-sentence"],
)
def test_a_message_that_names_a_model_limits_the_one_asked_for(message: str) -> None:
    """Also where it names it by its class: what cools down has to be what was refused."""
    assert scope_by(Limit.MODEL, EXHAUSTED_KEY, message, SONNET) == SONNET


def test_a_message_does_not_narrow_a_window_of_the_account() -> None:
    headers = rejected("five_hour", five_hour="rejected")
    assert scope_by(Limit.ACCOUNT, headers, f"model: {OPUS}") == WHOLE_ACCOUNT


@pytest.mark.parametrize("message", ["your model: unknown", "supermodel: claude-x", "claude-x"])
def test_a_message_that_names_none_limits_the_account(message: str) -> None:
    assert scope_by(Limit.ACCOUNT, EXHAUSTED_KEY, message) == WHOLE_ACCOUNT


@pytest.mark.parametrize(
    "headers", [BARE, f"{BARE}\n{UNIFIED}overage-disabled-reason: org_level_disabled"]
)
def test_a_bare_429_is_about_nothing(headers: str) -> None:
    assert scope_by(Limit.BARE, headers) == WHOLE_ACCOUNT


@pytest.mark.parametrize("headers", [OVERAGE_INCLUDED, OUT_OF_CREDITS, rejected("seven_day_opus")])
@pytest.mark.parametrize("model", [None, ""])
def test_without_a_model_it_is_the_account(headers: str, model: str | None) -> None:
    """A request for files, say: there is no narrower scope."""
    assert scope_of(429, fields(headers), "", model) == WHOLE_ACCOUNT


@pytest.mark.parametrize("status", [None, 400, 401, 529])
def test_only_a_429_is_about_a_model(status: int | None) -> None:
    limited = fields(OVERAGE_INCLUDED)
    assert scope_of(status, limited, f"model: {OPUS}", OPUS) == WHOLE_ACCOUNT


models = st.sampled_from(["claude-", "claude-opus-4-6", "claude-3-5-sonnet", "claude-x.1"]).flatmap(
    lambda name: st.text("a1-.", max_size=3).map(name.__add__)
)
claims = st.sampled_from(["five_hour", "seven_day_opus", "seven_day_sonnet", "overage", "haiku"])
statuses = st.sampled_from(["allowed", "allowed_warning", "rejected", ""])


@given(models, models, claims, statuses, statuses, statuses, st.booleans())
def test_what_cools_down_is_what_was_asked_for(
    model: str, named: str, claim: str, whole: str, five_hour: str, seven_day: str, spent: bool
) -> None:
    """Else the account would be picked again for the next request like it, at once."""
    headers = rejected(claim, five_hour, seven_day).replace("rejected", whole, 1)
    limited = fields(headers + (OUT_OF_CREDITS if spent else ""))
    scope = scope_of(429, limited, f"model: {named}", model)
    assert fnmatchcase(model, scope)


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=20))).map(tuple), st.text())
def test_no_headers_make_it_raise(limited: tuple[tuple[bytes, bytes], ...], message: str) -> None:
    assert limit_of(limited, message) in Limit
