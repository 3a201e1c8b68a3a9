from __future__ import annotations

from dataclasses import replace

import pytest

from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import MAX_FAILURES, RefreshError, Tokens, Trouble
from neurolink_mitm.core.auth.refresh import (
    TABLE,
    AccountRefresh,
    Refreshed,
    RefreshStep,
    StepResult,
    take_over,
)
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from tests.fakes import NOW, make_account

LOGIN = StoredAccount("a", Secret("sk-ant-oat-test-a"), Secret("sk-ant-ort-test-a"), NOW + 60)
ACCOUNT = make_account("a", "sk-ant-oat-test-a", expires_at=NOW + 60, refreshable=True)
TOKENS = Tokens(Secret("sk-ant-oat-test-a-2"), Secret("sk-ant-ort-test-a-2"), NOW + 28_800)
RELOGIN = StoredAccount("a", Secret("sk-ant-oat-test-z"), Secret("sk-ant-ort-test-z"), NOW + 9999)
DOWN = RefreshError(Trouble.TRANSIENT, "503")
OFFLINE = RefreshError(Trouble.TRANSIENT, "no network", answered=False)
LIMITED = RefreshError(Trouble.RATE_LIMITED, "429")
REVOKED = RefreshError(Trouble.INVALID_GRANT, "revoked")


def at_the_endpoint(
    machine: AccountRefresh, login: StoredAccount = LOGIN, now: float = NOW
) -> None:
    machine.start(ACCOUNT, force=False)
    machine.locked(in_time=True)
    machine.read(login, now)
    assert machine.step is RefreshStep.ASK


@pytest.fixture
def machine() -> AccountRefresh:
    return AccountRefresh(ACCOUNT)


def test_every_step_is_reached_and_left() -> None:
    reached = {after for outcomes in TABLE.values() for after in outcomes.values()}
    assert reached == set(TABLE) == set(RefreshStep)


def test_every_outcome_is_used() -> None:
    assert {outcome for outcomes in TABLE.values() for outcome in outcomes} == set(StepResult)


def test_no_request_without_a_read_under_the_lock() -> None:
    """And nothing is handed out that was not written, or tried to be."""
    before = {
        step: {each for each, outcomes in TABLE.items() if step in outcomes.values()}
        for step in (RefreshStep.ASK, RefreshStep.WRITE, RefreshStep.READ)
    }
    assert before == {
        RefreshStep.ASK: {RefreshStep.READ},
        RefreshStep.WRITE: {RefreshStep.ASK},
        RefreshStep.READ: {RefreshStep.LOCK, RefreshStep.FLUSH},
    }
    assert TABLE[RefreshStep.ASK][StepResult.GRANTED] is RefreshStep.WRITE


def test_a_good_refresh(machine: AccountRefresh) -> None:
    at_the_endpoint(machine)
    machine.granted(TOKENS, NOW)
    assert (machine.step, machine.result.written) == (RefreshStep.WRITE, False)
    machine.wrote()
    assert (machine.step, machine.result.written) == (RefreshStep.IDLE, True)
    assert machine.result.account_secret == TOKENS.access_token


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (DOWN, RefreshStep.COUNT),
        (RefreshError(Trouble.REFUSED, "no"), RefreshStep.COUNT),
        (OFFLINE, RefreshStep.IDLE),
        (LIMITED, RefreshStep.IDLE),
        (REVOKED, RefreshStep.DISABLE),
    ],
    ids=["down", "refused", "offline", "limited", "revoked"],
)
def test_what_a_refusal_leads_to(
    machine: AccountRefresh, error: RefreshError, step: RefreshStep
) -> None:
    at_the_endpoint(machine)
    machine.refused(error, NOW)
    assert (machine.step, machine.result.trouble) == (step, error.trouble)


@pytest.mark.parametrize(
    ("failures", "disabled"),
    [
        (MAX_FAILURES - 1, None),
        (MAX_FAILURES, f"{MAX_FAILURES} refreshes failed in a row, the last: 503"),
    ],
)
def test_the_last_failure_disables(
    machine: AccountRefresh, failures: int, disabled: str | None
) -> None:
    at_the_endpoint(machine)
    machine.refused(DOWN, NOW)
    machine.counted(failures)
    assert machine.result.login is not None
    assert (machine.step is RefreshStep.DISABLE, machine.result.login.disabled) == (
        disabled is not None, disabled,
    )  # fmt: skip


def seconds_to_wait(machine: AccountRefresh) -> float:
    assert machine.backoff is not None
    return machine.backoff.until - machine.backoff.since


def test_the_back_off_grows_with_failures_in_a_row(machine: AccountRefresh) -> None:
    waits = []
    for failure in range(4):
        at_the_endpoint(machine, now=NOW + failure * 100)
        machine.refused(DOWN, NOW + failure * 100)
        machine.counted(failure + 1)
        waits.append(seconds_to_wait(machine))
    assert waits == [1, 2, 4, 8]


def test_the_back_off_of_a_new_login_begins_anew(machine: AccountRefresh) -> None:
    """Failures in a row are those of one refresh token."""
    for failure in range(5):
        at_the_endpoint(machine, now=NOW + failure * 100)
        machine.refused(DOWN, NOW + failure * 100)
        machine.counted(failure + 1)
    new = replace(RELOGIN, expires_at=NOW + 60)
    at_the_endpoint(machine, new, NOW + 401)
    machine.refused(DOWN, NOW + 401)
    assert seconds_to_wait(machine) == 1


@pytest.mark.parametrize(
    ("now", "step"),
    [(NOW + 0.5, RefreshStep.IDLE), (NOW + 1, RefreshStep.ASK), (NOW - 3600, RefreshStep.ASK)],
    ids=["during", "after", "clock set back"],
)
def test_a_back_off_ends(machine: AccountRefresh, now: float, step: RefreshStep) -> None:
    at_the_endpoint(machine)
    machine.refused(DOWN, NOW)
    machine.counted(1)
    machine.start(ACCOUNT, force=True)
    machine.locked(in_time=True)
    machine.read(LOGIN, now)
    assert machine.step is step


@pytest.mark.parametrize(
    "read", [lambda m: m.read(LOGIN, NOW), lambda m: m.unreadable("broken", NOW)],
    ids=["readable", "unreadable"],
)  # fmt: skip
def test_a_refresh_goes_on_from_what_is_not_on_disk(machine: AccountRefresh, read: object) -> None:
    at_the_endpoint(machine)
    machine.granted(replace(TOKENS, expires_at=NOW + 60), NOW)
    machine.wrote("full")
    machine.start(ACCOUNT, force=False)
    machine.locked(in_time=True)
    assert machine.step is RefreshStep.FLUSH
    machine.wrote("full")
    read(machine)  # type: ignore[operator]
    assert machine.result.account_secret == TOKENS.access_token
    assert machine.unwritten is not None
    assert machine.unwritten.spent == LOGIN.refresh_token


def test_a_refresh_that_was_broken_off_leaves_nothing_behind(machine: AccountRefresh) -> None:
    at_the_endpoint(machine)
    at_the_endpoint(machine)


def test_a_new_token_is_used_with_what_it_tells_of_its_owner() -> None:
    pool = Pool([ACCOUNT])
    login = StoredAccount("a", TOKENS.access_token, None, NOW, account_uuid="u", email="a@x")
    take_over(pool, Refreshed(ACCOUNT, login))
    [account] = pool.accounts
    assert (account.secret, account.expires_at) == (TOKENS.access_token, NOW)
    assert (account.account_uuid, account.email) == ("u", "a@x")


def test_what_was_disabled_serves_nothing() -> None:
    pool = Pool([ACCOUNT])
    take_over(pool, Refreshed(ACCOUNT, replace(LOGIN, disabled="needs login: no")))
    assert [account.disabled for account in pool.accounts] == ["needs login: no"]


def test_a_refresh_for_an_account_as_it_was_before_counts_too() -> None:
    """The request began with a token that has been replaced since, and again by this refresh."""
    pool = Pool([replace(ACCOUNT, secret=TOKENS.access_token)])
    login = StoredAccount("a", Secret("sk-ant-oat-test-a-3"))
    take_over(pool, Refreshed(ACCOUNT, login, replaced=TOKENS.access_token))
    assert [account.secret for account in pool.accounts] == [login.access_token]


@pytest.mark.parametrize("disabled", [None, "needs login: no"])
def test_a_login_that_came_meanwhile_stays(disabled: str | None) -> None:
    now = make_account("a", "sk-ant-oat-test-z")
    pool = Pool([now])
    secret = LOGIN.access_token if disabled else TOKENS.access_token
    take_over(pool, Refreshed(ACCOUNT, StoredAccount("a", secret, disabled=disabled)))
    assert pool.accounts == (now,)


def test_replicas_away_before_the_request(machine: AccountRefresh) -> None:
    """Nothing is sent; a token that another process has written is taken over."""
    machine.start(ACCOUNT, force=True)
    machine.away("Redis is away", NOW)
    assert machine.step is RefreshStep.REREAD
    machine.read(LOGIN, NOW)
    assert (machine.step, machine.result.trouble) == (RefreshStep.IDLE, Trouble.TRANSIENT)
    machine.start(ACCOUNT, force=True)
    machine.away("Redis is away", NOW)
    machine.read(RELOGIN, NOW)
    assert machine.result == Refreshed(ACCOUNT, RELOGIN)


def test_replicas_away_after_a_refusal_disables_nobody(machine: AccountRefresh) -> None:
    at_the_endpoint(machine)
    machine.refused(REVOKED, NOW)
    machine.away("Redis is away", NOW)
    assert machine.step is RefreshStep.IDLE
    assert machine.result.login
    assert machine.result.login.disabled is None
    assert machine.result.trouble is Trouble.TRANSIENT
    assert machine.backoff, "it is not asked at once again"
