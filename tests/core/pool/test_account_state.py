from __future__ import annotations

import math
from typing import Any

import pytest

from neurolink_mitm.core.failover.errors import CooldownKind
from neurolink_mitm.core.pool.account_state import (
    LEVEL_LIFETIME,
    NOT_FOR_CLIENT,
    PROBE_LEASE,
    AccountState,
    Ineligible,
)
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.limits import OwnLimits
from neurolink_mitm.core.pool.pauses import Pause, utc
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.ramp import PROBE_WAIT
from neurolink_mitm.core.pool.token_bucket import TokenBucket
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.request.endpoints import COUNT_TOKENS, MESSAGES
from tests.fakes import NOW, make_account

OPUS, SONNET = "claude-opus-4-6", "claude-sonnet-4-6"
LOGIN = "sk-ant-oat01-x"


def ineligible(
    state: AccountState,
    now: float = NOW,
    model: str | None = OPUS,
    *,
    claude_code: bool = False,
    **account: Any,
) -> Ineligible | None:
    return state.ineligible(make_account(**account), model, claude_code, now)


def cool_down(
    state: AccountState,
    scope: str = "*",
    *,
    base: float | None = 10,
    sent_at: float = NOW,
    now: float = NOW,
    kind: CooldownKind = CooldownKind.BACKOFF,
) -> Cooldown | None:
    return state.cool_down(scope, kind, base=base, sent_at=sent_at, now=now, reason="a limit")


def cooling(scope: str = "*", **how: Any) -> AccountState:
    state = AccountState()
    cool_down(state, scope, **how)
    return state


# --- Never


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        ({"disabled": "invalid_grant"}, "disabled: invalid_grant"),
        ({"expires_at": NOW}, "needs login: its token has expired"),
        ({"enabled": False}, "not enabled"),
        ({"token": LOGIN}, NOT_FOR_CLIENT),
        ({"excluded_models": ("claude-haiku-*", "claude-opus-*")}, f"excludes {OPUS}"),
        ({"excluded_models": (OPUS,)}, f"excludes {OPUS}"),
        ({"paused": Pause(None, "why")}, "paused: why"),
        ({"paused": Pause(NOW + 1), "token": LOGIN}, f"paused until {utc(NOW + 1)}"),
        ({"disabled": "x", "enabled": False, "paused": Pause()}, "disabled: x"),
        ({"enabled": False, "token": LOGIN}, "not enabled"),
    ],
    ids=["disabled", "expired", "off", "client", "wildcard", "name", "paused", "until", "disabled-first", "off-second"],
)  # fmt: skip
def test_what_no_waiting_helps(account: dict[str, Any], reason: str) -> None:
    assert ineligible(AccountState(), **account) == Ineligible(reason)


def test_a_pause_ends_by_itself() -> None:
    account = make_account(paused=Pause(NOW + 5))
    state = AccountState()
    assert state.changes_at(account, NOW) == NOW + 5
    assert ineligible(state, NOW + 4, paused=account.paused) is not None
    assert ineligible(state, NOW + 5, paused=account.paused) is None
    assert ineligible(state, paused=Pause(NOW)) is None


@pytest.mark.parametrize(
    ("account", "request_"),
    [
        ({}, {}),
        ({"token": LOGIN}, {"claude_code": True}),
        ({}, {"claude_code": True}),
        ({"excluded_models": ("claude-haiku-*",)}, {}),
        ({"excluded_models": ("opus",)}, {}),
        ({"excluded_models": ("claude-OPUS-*",)}, {}),
        ({"excluded_models": ("*",)}, {"model": None}),
        ({"disabled": ""}, {}),
        ({"expires_at": NOW + 1}, {}),
        ({"expires_at": NOW, "refreshable": True}, {}),
        ({"max_concurrent": 0}, {}),
        ({"rate_limit": None}, {}),
    ],
    ids=["key", "claude-code", "key-for-claude-code", "another-model", "part-of-a-name", "case",
         "no-model", "not-disabled", "not-yet-expired", "refreshable", "no-cap", "no-rate"],
)  # fmt: skip
def test_who_serves(account: dict[str, Any], request_: dict[str, Any]) -> None:
    assert ineligible(AccountState(), **request_, **account) is None


# --- Cooling


def test_a_cooling_account_says_how_long_and_why() -> None:
    found = ineligible(cooling(base=10))
    assert found == Ineligible("cooling for 10 s: a limit", NOW + 10)


@pytest.mark.parametrize(("passed", "seconds"), [(0.5, 10), (8.9, 2), (9.5, 1)])
def test_it_counts_down_in_whole_seconds(passed: float, seconds: int) -> None:
    found = ineligible(cooling(base=10), NOW + passed)
    assert found is not None
    assert found.reason.startswith(f"cooling for {seconds} s")


def test_a_model_cools_by_itself() -> None:
    state = cooling("*opus*")
    assert ineligible(state) == Ineligible("cooling for *opus* for 10 s: a limit", NOW + 10)
    assert ineligible(state, model=SONNET) is None
    assert ineligible(state, model=None) is None


def test_an_account_cools_for_every_model() -> None:
    assert all(ineligible(cooling(), model=model) for model in (OPUS, SONNET, None))


@pytest.mark.parametrize("model", [OPUS, "claude-opus-4-6[1m]", "claude-*", "claude-?[!x]"])
def test_a_model_that_looks_like_a_wildcard_cools_too(model: str) -> None:
    assert ineligible(cooling(model), model=model) is not None


def test_what_never_serves_is_said_first() -> None:
    assert ineligible(cooling(), enabled=False) == Ineligible("not enabled")


def test_models_that_nobody_asks_for_any_more_do_not_pile_up() -> None:
    """A client may invent as many names as it likes; the whole account's cooldown stays."""
    state = cooling()
    for number in range(1000):
        cool_down(state, f"claude-{number}", now=NOW + number * 60)
    kept = int((LEVEL_LIFETIME + 10) / 60) + 1
    newest = [f"claude-{number}" for number in range(1000 - kept, 1000)]
    assert list(state.cooldowns) == ["*", *newest]


def test_a_failure_without_a_cooldown_leaves_no_trace() -> None:
    state = AccountState()
    assert cool_down(state, kind=CooldownKind.NONE) is None
    assert state.cooldowns == {}


def test_scopes_escalate_by_themselves() -> None:
    state = cooling("*opus*")
    cool_down(state, "*opus*", sent_at=NOW + 11, now=NOW + 12)
    found = cool_down(state, "*sonnet*", sent_at=NOW + 11, now=NOW + 12)
    assert [c.level for c in state.cooldowns.values()] == [2, 1]
    assert found == state.cooldowns["*sonnet*"]


# --- The probe


def test_after_a_cooldown_one_request_goes_first() -> None:
    state = cooling()
    assert ineligible(state, NOW + 10) is None
    state.begin(OPUS, NOW + 10)
    assert ineligible(state, NOW + 11) == Ineligible("being tried again after a limit", NOW + 12)


def test_of_a_model_only_such_requests_wait_for_it() -> None:
    state = cooling("*opus*")
    state.begin(OPUS, NOW + 10)
    found = ineligible(state, NOW + 11)
    assert found == Ineligible("being tried again for *opus* after a limit", NOW + 12)
    assert ineligible(state, NOW + 11, SONNET) is None


def test_a_request_for_another_model_is_no_probe() -> None:
    state = cooling("*opus*")
    state.begin(SONNET, NOW + 10)
    assert ineligible(state, NOW + 11) is None


def test_its_success_lets_everybody_in() -> None:
    state = cooling()
    state.begin(OPUS, NOW + 10)
    assert state.succeeded(OPUS, NOW + 10, NOW + 10) == 1
    assert ineligible(state, NOW + 11) is None
    assert state.cooldowns == state.probes == {}


def test_when_it_is_over_without_an_answer_the_next_one_probes() -> None:
    """The client went away, or upstream had other trouble."""
    state = cooling()
    state.begin(OPUS, NOW + 10)
    state.end(NOW + 10)
    assert ineligible(state, NOW + 11) is None
    state.begin(OPUS, NOW + 11)
    assert ineligible(state, NOW + 11.5) is not None


def test_the_end_of_an_older_request_does_not_end_it() -> None:
    state = AccountState()
    state.begin(OPUS, NOW - 1)
    cool_down(state)
    state.begin(OPUS, NOW + 10)
    state.end(NOW - 1)
    assert ineligible(state, NOW + 11) is not None


def test_one_that_is_never_heard_of_again_keeps_nobody_off_for_ever() -> None:
    state = cooling()
    state.begin(OPUS, NOW + 10)
    assert ineligible(state, NOW + 10 + PROBE_LEASE - 1) is not None
    assert ineligible(state, NOW + 10 + PROBE_LEASE) is None


def test_the_late_end_of_the_first_does_not_end_the_second() -> None:
    state = cooling()
    state.begin(OPUS, NOW + 10)
    state.begin(OPUS, NOW + 200)
    state.end(NOW + 10)
    assert ineligible(state, NOW + 201) is not None


def test_when_it_fails_the_cooldown_is_the_next_longer_one() -> None:
    state = cooling()
    state.begin(OPUS, NOW + 10)
    state.end(NOW + 10)
    found = cool_down(state, sent_at=NOW + 10, now=NOW + 11)
    assert found == Cooldown(2, NOW + 11, NOW + 11 + 20, "a limit")


# --- Success


# --- Replicas


def test_a_scope_that_another_replica_probes_is_left_alone() -> None:
    state = cooling("*opus*")
    state.reserve("*opus*", NOW + 13, NOW + 10, asked=False)
    found = ineligible(state, NOW + 11)
    assert found == Ineligible("being tried again for *opus* after a limit", NOW + 12)
    assert [ineligible(state, NOW + 11, SONNET), ineligible(state, NOW + 13)] == [None, None]


def test_its_result_is_waited_for_as_that_of_a_probe_here() -> None:
    state = cooling()
    state.reserve("*", NOW + 13, NOW + 10, asked=False)
    state.reserve("*", NOW + 14, NOW + 11, asked=False)
    moments = [state.probed_until(make_account(), OPUS, False, NOW + s) for s in (11, 12.5)]
    assert moments == [NOW + 10 + PROBE_WAIT, None]


def test_what_was_asked_for_is_known_soon() -> None:
    state = cooling()
    assert state.asked_until(OPUS, MESSAGES, NOW + 10) is None
    state.reserve("*", NOW + 10.004, NOW + 10, asked=True)
    assert state.asked_until(OPUS, MESSAGES, NOW + 10) == NOW + 10.004
    assert state.asked_until(OPUS, COUNT_TOKENS, NOW + 10) is None
    assert state.asked_until(OPUS, MESSAGES, NOW + 10.004) is None
    state.reserve("*", NOW + 13, NOW + 10.005, asked=False)
    assert state.asked_until(OPUS, MESSAGES, NOW + 10.005) is None


def test_reservations_that_are_over_do_not_pile_up() -> None:
    state = cooling()
    for n in range(9):
        state.reserve(f"model-{n}", NOW + n + 1, NOW + n, asked=False)
    assert state.reserved.keys() == {"model-8"}


def test_a_cooldown_of_another_replica_is_taken_over() -> None:
    state = AccountState()
    state.reserve("*", NOW + 3, NOW, asked=False)
    taken = Cooldown(2, NOW, NOW + 2, "a limit, seen by b")
    state.take_cooldown("*", taken, NOW)
    assert (state.cooldowns, state.reserved) == ({"*": taken}, {})
    assert ineligible(state, NOW + 1) == Ineligible("cooling for 1 s: a limit, seen by b", NOW + 2)
    state.take_cooldown("*", None, NOW + 2)
    assert (state.cooldowns, state.ramps.by_scope.keys()) == ({}, {"*"})
    state.take_cooldown("*opus*", None, NOW + 2)
    assert state.ramps.by_scope.keys() == {"*"}


@pytest.mark.parametrize(
    ("endpoint", "model", "probed"),
    [
        (MESSAGES, OPUS, ["*", "*opus*"]),
        (MESSAGES, SONNET, ["*"]),
        (COUNT_TOKENS, OPUS, ["count_tokens:*"]),
    ],
)
def test_what_a_request_would_probe(endpoint: str, model: str, probed: list[str]) -> None:
    state = AccountState()
    for scope in ("*", "*opus*", "count_tokens:*"):
        cool_down(state, scope)
    assert state.tries_again(model, endpoint) == probed
    assert AccountState().tries_again(model, endpoint) == []


def test_success_clears_what_it_could_have_met() -> None:
    state = cooling("*opus*")
    cool_down(state, "*sonnet*")
    cool_down(state)
    assert state.succeeded(OPUS, NOW + 1, NOW + 1) == 2
    assert list(state.cooldowns) == ["*sonnet*"]


def test_success_of_an_older_request_clears_nothing() -> None:
    state = cooling()
    assert state.succeeded(OPUS, NOW - 1, NOW) == 0
    assert ineligible(state) is not None


def test_success_is_counted() -> None:
    state = AccountState()
    state.begin(OPUS, NOW)
    state.succeeded(OPUS, NOW, NOW)
    assert (state.tally.attempts, state.tally.success) == (1, 1)
    assert state.tally.last_attempt_at == NOW


# --- Endpoints have limits of their own

COUNTING, FILES = "count_tokens", "files"


def counting_limited() -> AccountState:
    return cooling("count_tokens:*")


@pytest.mark.parametrize(
    ("scope", "endpoint"),
    [("*", COUNTING), ("*opus*", COUNTING), ("count_tokens:*", "messages"), ("files:*", "messages"),
     ("files:*", "batches"), ("*", FILES)],
)  # fmt: skip
def test_one_that_is_limited_leaves_the_others_usable(scope: str, endpoint: str) -> None:
    assert cooling(scope).ineligible(make_account(), OPUS, True, NOW, endpoint) is None


@pytest.mark.parametrize(
    ("scope", "of"),
    [("count_tokens:*", "count_tokens"), ("count_tokens:*opus*", "count_tokens of *opus*")],
)
def test_it_says_what_of(scope: str, of: str) -> None:
    found = cooling(scope).ineligible(make_account(), OPUS, True, NOW, COUNTING)
    assert found == Ineligible(f"cooling for {of} for 10 s: a limit", NOW + 10)


@pytest.mark.parametrize(
    ("scope", "by"), [("*", COUNTING), ("count_tokens:*", "messages"), ("*", FILES)]
)
def test_success_at_one_heals_no_other(scope: str, by: str) -> None:
    state = cooling(scope)
    assert state.succeeded(OPUS, NOW + 11, NOW + 11, by) == 0
    assert list(state.cooldowns) == [scope]


def test_counting_heals_counting() -> None:
    assert counting_limited().succeeded(OPUS, NOW + 11, NOW + 11, COUNTING) == 1


def test_a_request_to_one_is_no_probe_of_another() -> None:
    state = cooling()
    state.begin(OPUS, NOW + 10, COUNTING)
    assert ineligible(state, NOW + 11) is None


@pytest.mark.parametrize("scope", ["*", "count_tokens:*"])
@pytest.mark.parametrize("endpoint", ["messages", COUNTING, FILES])
def test_a_refused_account_serves_no_endpoint(scope: str, endpoint: str) -> None:
    state = cooling(scope, kind=CooldownKind.LONG)
    found = state.ineligible(make_account(), OPUS, True, NOW, endpoint)
    assert found == Ineligible("cooling for 300 s: a limit", NOW + 300)


def test_after_it_only_where_it_was_refused_one_request_goes_first() -> None:
    state = cooling("count_tokens:*", kind=CooldownKind.LONG)
    state.begin(OPUS, NOW + 300, COUNTING)
    assert state.ineligible(make_account(), OPUS, True, NOW + 301, COUNTING) is not None
    assert ineligible(state, NOW + 301) is None


def test_an_account_that_may_not_count_is_not_shown_as_cooling() -> None:
    assert counting_limited().longest_cooldown(NOW) == Cooldown()


def test_one_that_was_refused_while_counting_is() -> None:
    assert cooling("count_tokens:*", kind=CooldownKind.LONG).longest_cooldown(NOW).cooling(NOW)


# --- Busy


def test_max_concurrent() -> None:
    state = AccountState()
    state.begin(OPUS, NOW)
    assert ineligible(state, max_concurrent=2) is None
    state.begin(OPUS, NOW)
    assert ineligible(state, max_concurrent=2) == Ineligible("at its 2 requests at once", NOW + 1)
    state.end(NOW)
    assert ineligible(state, max_concurrent=2) is None


def test_what_was_not_sent_counts_for_nothing() -> None:
    state = AccountState()
    for _ in range(2):
        assert ineligible(state, rate_limit=1) is None
        state.begin("claude-x", NOW)
        state.end(NOW, sent=False)
    assert (state.in_flight, state.tally.attempts) == (0, 0)


def test_in_flight_is_never_negative() -> None:
    state = AccountState()
    state.end(NOW)
    state.begin(OPUS, NOW)
    assert state.in_flight == 1


def test_rate_limit() -> None:
    state = AccountState()
    for _ in range(2):
        assert ineligible(state, rate_limit=2) is None
        state.begin(OPUS, NOW)
    assert ineligible(state, rate_limit=2) == Ineligible("over its 2 requests a minute", NOW + 30)
    assert ineligible(state, NOW + 31, rate_limit=2) is None


def test_asking_takes_nothing_from_the_rate() -> None:
    state = AccountState()
    assert [ineligible(state, rate_limit=1) for _ in range(3)] == [None, None, None]


def test_a_new_rate_begins_anew() -> None:
    state = AccountState()
    ineligible(state, rate_limit=1)
    state.begin(OPUS, NOW)
    assert ineligible(state, rate_limit=1) is not None
    assert ineligible(state, rate_limit=2) is None


def test_no_rate_any_more() -> None:
    state = AccountState()
    ineligible(state, rate_limit=1)
    state.begin(OPUS, NOW)
    assert ineligible(state) is None


def test_nothing_changes_by_time_alone() -> None:
    state = AccountState()
    state.begin(OPUS, NOW)
    assert state.changes_at(make_account(max_concurrent=1), NOW) == math.inf


@pytest.mark.parametrize(
    ("state", "settings", "at"),
    [
        (AccountState(cooldowns={"*": Cooldown(1, NOW, NOW + 9)}), {}, NOW + 9),
        (AccountState(cooldowns={"*": Cooldown(1, NOW - 9, NOW - 1)}), {}, math.inf),
        (AccountState(cooldowns={"a": Cooldown(1, NOW, NOW + 9), "b": Cooldown(1, NOW, NOW + 3)}),
         {}, NOW + 3),
        (AccountState(probes={"*": NOW - 1}), {}, NOW - 1 + PROBE_LEASE),
        (AccountState(probes={"*": NOW + 1000}), {}, NOW + 1000 - PROBE_LEASE),
        (AccountState(), {"expires_at": NOW + 7}, NOW + 7),
        (AccountState(), {"expires_at": NOW - 7}, math.inf),
        (AccountState(limits=OwnLimits(TokenBucket(6, 0.5, NOW))), {"rate_limit": 6}, NOW + 5),
        (AccountState(limits=OwnLimits(TokenBucket(6, 5.0, NOW - 1))), {"rate_limit": 6}, math.inf),
    ],
    ids=["cooling", "was-cooling", "two-scopes", "probe", "probe-of-a-later-clock", "token-ends",
         "token-has-ended", "over-its-rate", "within-its-rate"],
)  # fmt: skip
def test_the_next_change_by_time_alone(
    state: AccountState, settings: dict[str, Any], at: float
) -> None:
    assert state.changes_at(make_account(**settings), NOW) == at


def test_cooling_is_said_before_busy() -> None:
    state = cooling()
    state.begin(OPUS, NOW)
    found = ineligible(state, max_concurrent=1)
    assert found is not None
    assert found.reason.startswith("cooling")


# --- Limits seen


def seen(*readings: tuple[float, float]) -> AccountState:
    """(seconds from now, share of five hours used)"""
    state = AccountState()
    for passed, utilization in readings:
        state.update_quota(Quota(NOW + passed, {"5h": Window(utilization, "", NOW + 5000)}))
    return state


def test_the_latest_word_counts() -> None:
    state = seen((0, 0.1), (60, 0.2))
    assert state.quota == Quota(NOW + 60, {"5h": Window(0.2, "", NOW + 5000)})


def test_each_window_has_a_pace_of_its_own() -> None:
    state = AccountState()
    for passed, five, seven in ((0, 0.1, 0.5), (600, 0.2, 0.5)):
        state.update_quota(Quota(NOW + passed, {"5h": Window(five), "7d": Window(seven)}))
    paces = [state.pace(name, NOW + 600) * 6000 for name in ("5h", "7d", "7d_oi")]
    assert paces == pytest.approx([1.0, 0.0, 0.0])
    state.clock_moved(-5000)
    assert state.pace("5h", NOW - 4400) * 6000 == pytest.approx(1.0)
    state.forget_quota()
    assert state.pace("5h", NOW + 600) == 0.0


# --- The one to show


def test_the_whole_accounts_cooldown_is_shown_first() -> None:
    state = cooling("*opus*", base=500)
    whole = cool_down(state, base=5)
    assert state.longest_cooldown(NOW) == whole


def test_else_the_one_that_lasts_longest() -> None:
    state = cooling("*opus*", base=500)
    cool_down(state, "*sonnet*", base=50)
    cool_down(state, base=5)
    assert state.longest_cooldown(NOW + 6) == state.cooldowns["*opus*"]


def test_none_is_none() -> None:
    assert AccountState().longest_cooldown(NOW) == Cooldown()
