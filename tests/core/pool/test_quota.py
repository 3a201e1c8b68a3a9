from __future__ import annotations

import math
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.pool.quota import (
    UNIFIED,
    WHOLE_ACCOUNT,
    Classic,
    Limit,
    Quota,
    Window,
    limit_headers,
    limit_of,
    parse,
    runs_out_at,
    scope_of,
)
from neurolink_mitm.core.request.headers import Fields
from tests.fakes import NOW, make_failure

HOUR = 3600.0
SUBSCRIPTION = """
anthropic-ratelimit-unified-status: allowed_warning
anthropic-ratelimit-unified-5h-status: allowed
anthropic-ratelimit-unified-5h-utilization: 0.35
anthropic-ratelimit-unified-5h-reset: 1760003600
anthropic-ratelimit-unified-7d-status: allowed_warning
anthropic-ratelimit-unified-7d-utilization: 0.94
anthropic-ratelimit-unified-7d-reset: 1760400000
anthropic-ratelimit-unified-fallback-percentage: 0.8
anthropic-ratelimit-unified-overage-status: rejected
anthropic-ratelimit-unified-representative-claim: seven_day
anthropic-ratelimit-unified-reset: 1760400000
content-type: application/json
"""
KEY = """
anthropic-ratelimit-requests-limit: 50
anthropic-ratelimit-requests-remaining: 49
anthropic-ratelimit-requests-reset: 2025-10-09T08:54:20Z
anthropic-ratelimit-tokens-limit: 40000
anthropic-ratelimit-tokens-remaining: 39000
anthropic-ratelimit-tokens-reset: 2025-10-09T10:54:20+02:00
anthropic-ratelimit-input-tokens-limit: 30000
anthropic-ratelimit-output-tokens-remaining: 8000
"""


def fields(lines: str) -> Fields:
    return make_failure(429, lines).headers


def quota_of(lines: str) -> Quota:
    found = parse(fields(lines), NOW)
    assert found is not None
    return found


def five_hour(utilization: str = "0.5", **more: str) -> Window | None:
    lines = {"utilization": utilization, **more}
    return quota_of(
        "\n".join(f"anthropic-ratelimit-unified-5h-{k}: {v}" for k, v in lines.items())
    ).five_hour


# --- Reading


def test_a_subscription() -> None:
    assert quota_of(SUBSCRIPTION) == Quota(
        seen_at=NOW,
        five_hour=Window(0.35, "allowed", 1760003600.0),
        seven_day=Window(0.94, "allowed_warning", 1760400000.0),
        status="allowed_warning",
        claim="seven_day",
        fallback=0.8,
        overage="rejected",
    )


def test_an_api_key() -> None:
    assert quota_of(KEY) == Quota(
        seen_at=NOW,
        classic={
            "requests": Classic(50, 49, NOW + 60),
            "tokens": Classic(40_000, 39_000, NOW + 60),
            "input-tokens": Classic(30_000, None, None),
            "output-tokens": Classic(None, 8000, None),
        },
    )


@pytest.mark.parametrize(
    "lines",
    ["", "content-type: text/html", "x-anthropic-ratelimit-unified-status: allowed"],
    ids=["none", "others", "not-theirs"],
)
def test_headers_that_say_nothing_of_limits(lines: str) -> None:
    assert parse(fields(lines), NOW) is None


def test_names_are_read_in_any_case() -> None:
    said = limit_headers(fields("Anthropic-RateLimit-Unified-Status: Allowed"))
    assert said == {"anthropic-ratelimit-unified-status": "Allowed"}


@pytest.mark.parametrize(
    "number",
    ["", "much", "nan", "NaN", "inf", "-inf", "1e400", "-0.1", "-1", "0x1", "1,5", "50%", "1e12"],
)
def test_what_is_no_share_is_left_out(number: str) -> None:
    assert five_hour(number) is None


@pytest.mark.parametrize(("number", "read"), [("0", 0), ("0.0", 0), ("1", 1), ("1.02", 1.02)])
def test_shares(number: str, read: float) -> None:
    """More than all can be used: requests under way at the end still count."""
    assert five_hour(number) == Window(read)


@pytest.mark.parametrize(
    "reset", ["", "soon", "nan", "inf", "-1", "1760000000000", "900000000000", "1e11"]
)
def test_a_reset_that_is_no_moment_is_left_out(reset: str) -> None:
    """Milliseconds among them: not every calendar goes that far."""
    assert five_hour(reset=reset) == Window(0.5)


@pytest.mark.parametrize(
    "reset",
    ["", "soon", "1760000000", "2025-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
     "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"],
)  # fmt: skip
def test_a_classic_reset_that_is_no_moment_is_left_out(reset: str) -> None:
    lines = f"anthropic-ratelimit-requests-limit: 5\nanthropic-ratelimit-requests-reset: {reset}"
    assert quota_of(lines).classic == {"requests": Classic(5)}


def test_a_classic_reset_without_zone_is_utc() -> None:
    lines = KEY.replace("08:54:20Z", "08:54:20")
    assert quota_of(lines).classic["requests"].reset == NOW + 60


@pytest.mark.parametrize("line", ["requests-reset: 2025-10-09T08:54:20Z", "cats-limit: 5"])
def test_a_limit_of_which_nothing_is_known_is_left_out(line: str) -> None:
    assert quota_of(f"anthropic-ratelimit-{line}") == Quota(NOW)


names = st.sampled_from(
    [line.partition(":")[0] for line in (SUBSCRIPTION + KEY).splitlines() if line]
).map(str.encode)
numbers = st.one_of(
    *(s.map(str) for s in (st.floats(), st.floats(0, 1e13), st.integers(), st.datetimes()))
)
values = st.binary() | numbers.map(str.encode)


@given(st.lists(st.tuples(names, values)).map(tuple))
def test_no_headers_make_it_raise_and_each_time_can_be_shown(said: Fields) -> None:
    found = parse(said, NOW)
    assert (found is None) == (limit_headers(said) == {})
    if found is None:
        return
    for limit in (found.five_hour, found.seven_day, *found.classic.values()):
        assert limit is None or limit.reset is None or iso(limit.reset)
    for window in (found.five_hour, found.seven_day):
        assert window is None or (window.utilization >= 0 and math.isfinite(window.utilization))


# --- Meaning

USED = Quota(NOW, Window(0.6, "", NOW + HOUR), Window(0.2, "", NOW + 5 * HOUR))


def test_a_window_is_gone_once_its_reset_has_passed() -> None:
    assert USED.current(USED.five_hour, NOW + HOUR - 1) == USED.five_hour
    assert USED.current(USED.five_hour, NOW + HOUR) is None


def test_a_window_without_reset_stays() -> None:
    window = Window(0.6)
    assert USED.current(window, NOW + 1000 * HOUR) == window


def test_no_window_is_no_window() -> None:
    assert USED.current(None, NOW) is None


@pytest.mark.parametrize(
    ("five", "seven", "fallback", "past"),
    [
        (0.49, 0.49, None, False),
        (0.5, 0.0, None, True),
        (0.0, 0.5, None, True),
        (0.79, 0.79, 0.8, False),
        (0.8, 0.0, 0.8, True),
        (0.0, 0.0, 0.0, True),
    ],
    ids=["headroom", "5h-half", "7d-half", "below-the-header's", "at-the-header's", "zero"],
)
def test_past_fallback(five: float, seven: float, fallback: float | None, past: bool) -> None:
    assert Quota(NOW, Window(five), Window(seven), fallback=fallback).past_fallback(NOW) is past


def test_a_window_that_was_reset_is_not_past_it() -> None:
    assert USED.past_fallback(NOW)
    assert not USED.past_fallback(NOW + HOUR)


def test_an_api_key_is_never_past_it() -> None:
    assert not quota_of(KEY).past_fallback(NOW)


@pytest.mark.parametrize(
    ("hours", "after"), [(0, 1.0), (0.99, 1.0), (1, 5.0), (4.99, 5.0), (5, None)]
)
def test_the_next_reset(hours: float, after: float | None) -> None:
    found = USED.next_reset(NOW + hours * HOUR)
    assert found == (None if after is None else NOW + after * HOUR)


def test_without_windows_there_is_no_next_reset() -> None:
    assert replace(USED, five_hour=None, seven_day=Window(0.5)).next_reset(NOW) is None


# --- Projection


@pytest.mark.parametrize(
    ("first", "last", "at"),
    [
        ((NOW, 0.0), (NOW + 60, 0.5), NOW + 120),
        ((NOW, 0.2), (NOW + 100, 0.4), NOW + 400),
        ((NOW, 0.5), (NOW + 60, 1.0), NOW + 60),
        ((NOW, 0.5), (NOW + 60, 1.2), NOW + 60),
        ((NOW, 0.5), (NOW + 60, 0.5), None),
        ((NOW, 0.5), (NOW + 60, 0.4), None),
        ((NOW, 0.2), (NOW, 0.4), None),
        ((NOW, 0.2), (NOW - 9, 0.4), None),
    ],
    ids=["half-a-minute", "slow", "used-up", "over", "idle", "less", "one-moment", "set-back"],
)
def test_runs_out_at(
    first: tuple[float, float], last: tuple[float, float], at: float | None
) -> None:
    assert runs_out_at(first, last) == (None if at is None else pytest.approx(at, rel=0, abs=0.01))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 1e6))
def test_it_runs_out_no_sooner_than_now(before: float, after: float, seconds: float) -> None:
    found = runs_out_at((NOW, before), (NOW + seconds, after))
    assert (found is None) == (after <= before)
    assert found is None or found >= NOW + seconds


@pytest.mark.parametrize(
    ("reset", "counts"),
    [(NOW + 60, True), (NOW + 7 * 86_400, True), (NOW - 1, False), (NOW + 18 * 86_400, False), (1e300, False)],
    ids=["soon", "a-week", "past", "18-days-ahead", "any-number"],
)  # fmt: skip
def test_a_reset_further_ahead_than_any_window_is_a_clocks_fault(
    reset: float, counts: bool
) -> None:
    quota = Quota(NOW, Window(0.9, reset=reset))
    assert quota.past_fallback(NOW) is counts
    assert quota.next_reset(NOW) == (reset if counts else None)


# --- The scope of a 429. The headers are those seen in the threads that `core/failover/errors.py` names

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
    assert scope_by(Limit.MODEL, headers, model=NEW) == NEW


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
        (OUT_OF_CREDITS, NEW, NEW),
        (OUT_OF_CREDITS + "retry-after: 9", OPUS, "*opus*"),
        (OUT_OF_CREDITS + rejected("seven_day_opus"), OPUS, "*opus*"),
    ],
    ids=["sonnet", "haiku", "no-family", "retry-after", "claim"],
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
