from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.exchange import Hold, Kind
from neurolink_mitm.core.failover.hold import (
    Outlook,
    Recovery,
    allowed_seconds,
    asked_seconds,
    behind,
    hold_seconds,
    hold_step,
    may_be_held,
    outlook,
)
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers.destinations import THE_POOL, Route
from tests.fakes import NOW, make_account, make_exchange, make_failure, make_other

A, B = make_account("a"), make_account("b")
ANY = Requirements(model="claude-x")
STEP = Hold(NOW + 900, "", recovery=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90", 90),
        (" 0 ", 0),
        ("1.5", 1.5),
        ("999999999999999", 999999999999999),
        *((value, None) for value in ("", None, "-1", "nan", "inf", "1e308", "5m", "1,5", "٣", "9" * 400)),
    ],
)  # fmt: skip
def test_what_a_header_asks_for(value: str | None, seconds: float | None) -> None:
    assert asked_seconds(value) == seconds


@given(st.text(max_size=20))
def test_it_is_a_finite_number_or_none(value: str) -> None:
    seconds = asked_seconds(value)
    assert seconds is None or 0 <= seconds < 1e15 + 1


@pytest.mark.parametrize(
    ("asked", "general", "of_key", "allowed"),
    [
        (None, 0, None, 0),
        (None, 90, None, 90),
        (None, 90, 30, 30),
        (None, 0, 30, 30),
        (None, 90, 0, 0),
        (10, 90, None, 10),
        (0, 90, 30, 0),
        (100, 90, 30, 90),
        (100, 30, 90, 90),
        (100, 0, None, 0),
    ],
)
def test_how_long_a_request_may_be_held(
    asked: float | None, general: float, of_key: float | None, allowed: float
) -> None:
    assert allowed_seconds(asked, general, of_key) == allowed


def test_a_client_key_counts_as_it_is_now() -> None:
    before, now = (ClientKey("ci", "", 0, hold=seconds) for seconds in (10, 20))
    exchange = make_exchange(client_key=before)
    assert hold_seconds(exchange, 5, [ClientKey("other", "", 0, hold=90), now]) == 20
    assert hold_seconds(exchange, 5, []) == 10
    assert hold_seconds(make_exchange(), 5, [now]) == 5


@pytest.mark.parametrize("kind", Kind)
def test_messages_and_counting_are_held(kind: Kind) -> None:
    assert may_be_held(make_exchange(kind=kind)) == (kind in (Kind.MESSAGES, Kind.COUNT_TOKENS))


def cooling(*seconds: float, **settings: Budget) -> Pool:
    """Accounts a, b, … that are cooling for so many seconds."""
    accounts = [make_account("ab"[n]) for n in range(len(seconds))]
    pool = Pool(accounts, **settings)
    for each, wait in zip(accounts, seconds, strict=True):
        limit(pool, each.key, wait)
    return pool


def limit(pool: Pool, key: str, seconds: float) -> None:
    failure = make_failure(429, f"retry-after: {seconds}")
    pool.failed(key, ANY, failure, sent_at=NOW, now=NOW)


@pytest.mark.parametrize(("left", "held"), [(40, True), (39.9, False), (0, False), (-1, False)])
def test_it_is_held_if_the_first_one_is_back_in_time(left: float, held: bool) -> None:
    step = hold_step(cooling(90, 40), ANY, THE_POOL, NOW, left)
    expected = Hold(NOW + left, "waits for anthropic:b", recovery=True)
    assert step == (expected if held else None)


def test_nobody_waits_for_what_does_not_end_by_itself() -> None:
    pool = Pool(
        [
            make_account("off", enabled=False),
            make_account("out", disabled="by hand"),
            make_account("login", "sk-ant-oat01-x"),
            make_account("old", excluded_models=("claude-*",)),
        ]
    )
    assert hold_step(pool, ANY, THE_POOL, NOW, 900) is None
    assert outlook(pool, ANY, THE_POOL, NOW, STEP) == Outlook(ready=False)


def test_nor_for_a_cap() -> None:
    budget = Budget(cap=1.0, spent=2.0, day_ends_at=NOW + 60)
    pool = Pool([A, make_account("plan", "sk-ant-oat01-x")], budget=budget)
    assert hold_step(pool, ANY, THE_POOL, NOW, 900) is None
    limit(pool, A.key, 5)
    assert hold_step(pool, ANY, THE_POOL, NOW, 900) is None


def test_nor_for_a_token_that_will_have_ended() -> None:
    pool = Pool([make_account("a", expires_at=NOW + 30)])
    limit(pool, A.key, 40)
    assert hold_step(pool, ANY, THE_POOL, NOW, 900) is None


def test_a_rate_limit_of_ours_ends_by_itself() -> None:
    pool = Pool([make_account("a", rate_limit=1)])
    pool.choose(ANY, NOW)
    pool.began(A.key, ANY, NOW)
    step = hold_step(pool, ANY, THE_POOL, NOW, 900)
    assert step
    assert outlook(pool, ANY, THE_POOL, NOW, STEP) == Outlook(False, Recovery(NOW + 60, A.key))


def test_what_a_held_request_may_expect() -> None:
    pool = cooling(90, 40)
    assert outlook(pool, ANY, THE_POOL, NOW, STEP) == Outlook(False, Recovery(NOW + 40, B.key))
    assert outlook(pool, ANY, None, NOW + 40, STEP) == Outlook(ready=True)


def test_providers_count_where_they_are_on_the_route() -> None:
    gpt = make_other()
    pool = Pool([A], fallbacks=[gpt])
    limit(pool, A.key, 90)
    limit(pool, gpt.key, 40)
    chain = Route("claude-x", "", entries=(gpt.key,))
    mapped = Route("gpt-x", "mapping", entries=(gpt.key,), pool=False)
    assert outlook(pool, ANY, THE_POOL, NOW, STEP) == Outlook(False, Recovery(NOW + 90, A.key))
    assert outlook(pool, ANY, chain, NOW, STEP) == Outlook(False, Recovery(NOW + 40, gpt.key))
    assert outlook(pool, ANY, mapped, NOW, STEP) == Outlook(False, Recovery(NOW + 40, gpt.key))
    assert outlook(pool, ANY, chain, NOW + 41, STEP).ready


USED_UP = """
    anthropic-ratelimit-unified-status: rejected
    anthropic-ratelimit-unified-5h-status: rejected
    anthropic-ratelimit-unified-5h-utilization: 1
    anthropic-ratelimit-unified-5h-reset: {reset:.0f}
"""


def test_who_is_held_waits_for_the_reset_of_the_window_not_for_the_end_of_the_cooldown() -> None:
    """A cooldown without `Retry-After` lasts a second: that is for the next new request to probe."""
    pool = Pool([A])
    failure = make_failure(429, USED_UP.format(reset=NOW + 300))
    cooled = pool.failed(A.key, ANY, failure, sent_at=NOW, now=NOW)
    assert cooled.seconds < 10
    back = Recovery(NOW + 300, A.key)
    assert hold_step(pool, ANY, THE_POOL, NOW, 299) is None
    for now in (NOW, NOW + 30):
        assert outlook(pool, ANY, THE_POOL, now, STEP) == Outlook(False, back)
    assert outlook(pool, ANY, THE_POOL, NOW + 30, replace(STEP, recovery=False)).ready
    pool.succeeded(A.key, ANY, sent_at=NOW + 31, now=NOW + 32)
    assert outlook(pool, ANY, THE_POOL, NOW + 32, STEP).ready


def test_who_is_held_waits_for_the_probe_and_for_its_turn() -> None:
    pool = cooling(40)
    pool.began(A.key, ANY, NOW + 41)
    probed = outlook(pool, ANY, THE_POOL, NOW + 41, STEP)
    assert probed == Outlook(False, Recovery(NOW + 42, A.key))
    pool.succeeded(A.key, ANY, sent_at=NOW + 41, now=NOW + 42)
    pool.ended(A.key, sent_at=NOW + 41)
    for sent_at in (NOW + 42.1, NOW + 42.2):
        assert outlook(pool, ANY, THE_POOL, sent_at, STEP).ready
        pool.began(A.key, ANY, sent_at)
    waits = outlook(pool, ANY, THE_POOL, NOW + 42.3, STEP)
    assert waits == Outlook(False, Recovery(NOW + 43, "its turn on anthropic:a"))
    short = Hold(NOW + 43, "its turn")
    assert not outlook(pool, ANY, THE_POOL, NOW + 42.3, short).ready
    assert outlook(pool, ANY, THE_POOL, NOW + 43, short).ready


def test_a_new_request_waits_behind_those_that_are_held_and_go_on_now() -> None:
    pool, room, until = cooling(40), WaitingRoom(), NOW + 50
    first = make_exchange(request_id="first", model=ANY.model, kind=Kind.MESSAGES)
    room.enter(first, STEP, NOW, 0.0, lambda: None)
    same = make_exchange(model=ANY.model, kind=Kind.MESSAGES, session_id="s")
    assert behind(pool, room, same, NOW, until) is None, "it is held itself"
    choice = behind(pool, room, same, NOW + 40, until)
    assert choice
    assert choice.wait_until == until
    other = make_exchange(model="claude-y", kind=Kind.MESSAGES)
    path = make_exchange(model=ANY.model, kind=Kind.API)
    for each in (other, path, first):
        assert behind(pool, room, each, NOW + 40, until) is None
    room.enter(same, STEP, NOW, 0.0, lambda: None)
    room.resumed(same, 0.0)
    assert behind(pool, room, same, NOW + 40, until), "its place is behind the first one's"
    room.resumed(first, 0.0)
    assert behind(pool, room, same, NOW + 40, until) is None
