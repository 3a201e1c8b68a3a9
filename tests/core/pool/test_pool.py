from __future__ import annotations

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.failover.ineligible import all_ineligible
from neurolink_mitm.core.pool.account_state import LEVEL_LIFETIME, PROBE_LEASE, Ineligible
from neurolink_mitm.core.pool.affinity import Session
from neurolink_mitm.core.pool.choice import Choice, CooldownResult, Requirements
from neurolink_mitm.core.pool.choosing import session_of
from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.limit_scope import WHOLE_ACCOUNT
from neurolink_mitm.core.pool.persisted import PersistedState, fingerprint
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.ramp import PROBE_WAIT
from neurolink_mitm.core.pool.readings import SavedReading
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.redact.secret import Secret
from tests.core.pool.pools import (
    ANY,
    LIMITED,
    OF_OPUS,
    OPUS,
    SONNET,
    A,
    B,
    C,
    fail,
    in_session,
    make_pool,
    other,
    other_choice,
    serve,
    taken,
    with_others,
)
from tests.fakes import NOW, make_account, make_failure

# --- What happens on an account


def test_a_rate_limit_cools_the_account_down() -> None:
    pool = make_pool()
    assert fail(pool) == CooldownResult(seconds=10, level=0, retry_after=10)
    assert pool.ineligible(ANY, NOW) == {
        A: Ineligible("cooling for 10 s: rate limit (429)", NOW + 10)
    }


def test_the_second_cooldown_is_longer() -> None:
    pool = make_pool()
    fail(pool)
    assert fail(pool, now=NOW + 10) == CooldownResult(seconds=20, level=1, retry_after=10)


@pytest.mark.parametrize(
    ("failure", "result"),
    [
        (make_failure(401), CooldownResult(300, 0, None)),
        (make_failure(429), CooldownResult(1, 0, None)),
        (
            make_failure(429, "Retry-After: Thu, 09 Oct 2025 08:54:20 GMT"),
            CooldownResult(60, 0, 60),
        ),
        (make_failure(429, "retry-after: 99999"), CooldownResult(600, 0, 99999)),
        (make_failure(529, "retry-after: 5"), CooldownResult(0, 0, 5)),
        (make_failure(404), CooldownResult(0, 0, None)),
        (make_failure(None, stage=FailureStage.NETWORK), CooldownResult(0, 0, None)),
    ],
    ids=["401", "429", "date", "cap", "529", "404", "network"],
)
def test_what_a_failure_does_to_its_account(failure: Failure, result: CooldownResult) -> None:
    pool = make_pool()
    assert fail(pool, failure=failure) == result
    assert (A in pool.ineligible(ANY, NOW)) == (result.seconds > 0)


def test_a_rate_limit_of_one_model_cools_that_model_down() -> None:
    pool = make_pool()
    fail(pool, failure=OF_OPUS)
    assert list(pool.ineligible(ANY, NOW)) == [A]
    assert pool.ineligible(replace(ANY, model=SONNET), NOW) == {}


def test_what_happened_is_counted() -> None:
    pool = make_pool()
    fail(pool)
    fail(pool, failure=make_failure(None, stage=FailureStage.EVENT, error_type="rate_limit_error"))
    fail(
        pool, failure=make_failure(None, stage=FailureStage.NETWORK, error_type="cut"), now=NOW + 1
    )
    serve(pool, now=NOW + 2)
    tally = pool.account_state(A).tally
    counted = (tally.attempts, tally.success, tally.errors, tally.rate_limits)
    assert counted == (4, 1, 3, 2)
    assert (tally.last_attempt_at, tally.last_error_at) == (NOW + 2, NOW + 1)
    assert tally.last_error == "network (cut)"


def test_success_clears_what_it_met() -> None:
    pool = make_pool()
    fail(pool)
    serve(pool, now=NOW + 10)
    assert pool.cooldowns() == {}
    assert fail(pool, now=NOW + 11).level == 0


def test_success_of_a_request_from_before_clears_nothing() -> None:
    pool = make_pool()
    pool.began(A, ANY, NOW - 5)
    fail(pool)
    pool.succeeded(A, ANY, sent_at=NOW - 5, now=NOW + 1)
    assert list(pool.ineligible(ANY, NOW + 1)) == [A]


def test_limits_are_seen() -> None:
    pool = make_pool()
    fields = make_failure(200, "anthropic-ratelimit-unified-5h-utilization: 0.5").headers
    expected = Quota(NOW, {"5h": Window(0.5)})
    assert pool.update_quota(A, fields, NOW) == expected
    assert pool.update_quota(B, (), NOW) is None
    assert pool.quotas() == {A: expected}


# --- Changes of the pool


def test_who_stays_keeps_its_state() -> None:
    pool = make_pool("ab")
    fail(pool, A)
    pool.update([make_account("c"), make_account("a", weight=3)])
    assert [a.label for a in pool.accounts] == ["c", "a"]
    assert list(pool.ineligible(ANY, NOW)) == [A]
    assert taken(pool) == "c"


def test_a_new_credential_clears_the_cooldowns() -> None:
    pool = make_pool("a")
    fail(pool, A)
    pool.update([make_account("a", "sk-ant-another")])
    assert pool.ineligible(ANY, NOW) == {}


def test_who_is_enabled_again_is_tried_at_once() -> None:
    pool = make_pool("a")
    fail(pool, A)
    pool.disable(A, "15 refreshes failed in a row")
    pool.update([make_account("a")])
    assert pool.ineligible(ANY, NOW) == {}


def test_who_is_gone_is_forgotten() -> None:
    pool = make_pool("ab")
    fail(pool, A)
    serve(pool, A, NOW + 20, in_session())
    fail(pool, A, now=NOW + 30)
    assert A in pool.cooldowns()
    pool.update([make_account("b")])
    assert pool.cooldowns() == {}
    pool.update([make_account("b"), make_account("a")])
    assert pool.ineligible(ANY, NOW) == {}
    assert pool.choose(in_session(), NOW + 20).rule == "fill-first"


def test_accounts_come_and_go_without_affinity_too() -> None:
    pool = make_pool("ab", affinity=False)
    pool.update([make_account("b")])
    assert taken(pool) == "b"


def test_what_still_comes_of_an_account_that_is_gone_does_no_harm() -> None:
    """Its request was under way, or about to be sent."""
    pool = make_pool("a")
    pool.update([])
    pool.began(A, ANY, NOW)
    pool.ended(A, sent_at=NOW)
    pool.succeeded(A, in_session(), sent_at=NOW, now=NOW)
    pool.update_quota(A, make_failure(429, "anthropic-ratelimit-unified-status: x").headers, NOW)
    assert pool.failed(A, ANY, LIMITED, sent_at=NOW, now=NOW) == CooldownResult(0, 0, 10)
    assert pool.cooldowns() == pool.quotas() == {}


def test_a_renewed_token_is_that_of_the_account_from_then_on() -> None:
    pool = Pool([make_account("a", disabled="x"), make_account("b")])
    chosen = pool.accounts[0]
    fail(pool, A)
    pool.renew(A, Secret("new"), NOW + 3600)
    assert pool.newest(chosen) == replace(
        chosen, secret=Secret("new"), expires_at=NOW + 3600, disabled=None
    )
    assert pool.ineligible(ANY, NOW) == {}
    assert [a.label for a in pool.accounts] == ["a", "b"]


def test_an_account_can_be_disabled() -> None:
    pool = make_pool("ab")
    pool.disable(A, "invalid_grant")
    assert pool.ineligible(ANY, NOW) == {A: Ineligible("disabled: invalid_grant")}


def test_of_an_account_that_is_gone_nothing_is_newer() -> None:
    pool, gone = make_pool("b"), make_account("a")
    pool.renew(A, Secret("new"), None)
    pool.disable(A, "x")
    assert pool.newest(gone) is gone


def test_cooldowns_that_were_reset_are_put_back_for_the_same_credential() -> None:
    pool = make_pool("a")
    fail(pool, A)
    before = pool.cooldowns()[A]
    pool.reset_named("a")
    pool.cool_again(A, before, NOW)
    scopes = {scope: replace(each, began=NOW) for scope, each in before.scopes.items()}
    assert pool.cooldowns()[A] == replace(before, scopes=scopes)
    pool.reset_named(A)
    pool.cool_again(A, replace(before, credential="another"), NOW)
    pool.cool_again("anthropic:gone", before, NOW)
    assert A not in pool.cooldowns()


def test_reset_forgets_cooldowns_and_probes() -> None:
    pool = make_pool("a")
    fail(pool, A)
    pool.began(A, ANY, NOW + 10)
    pool.reset(A)
    assert pool.ineligible(ANY, NOW + 11) == {}
    assert fail(pool, A, now=NOW + 12).level == 0
    assert pool.ineligible(ANY, NOW + 22) == {}


def test_what_another_replica_knows_of_a_cooldown_is_taken_over() -> None:
    pool, woken = make_pool("ab"), list[int]()
    pool.on_change = lambda: woken.append(1)
    before, taken_over = pool.changes, Cooldown(1, NOW, NOW + 9, "a limit, seen by b")
    pool.take_cooldowns(A, {"*": taken_over}, NOW)
    pool.take_cooldowns("anthropic:gone", {"*": taken_over}, NOW)
    assert (taken(pool), pool.changes, len(woken)) == ("b", before + 1, 1)
    assert pool.cooldowns()[A].scopes == {"*": taken_over}
    pool.take_cooldowns(A, {"*": None}, NOW)
    assert (taken(pool), pool.cooldowns()) == ("a", {})


def test_an_account_that_another_replica_probes_is_left_alone() -> None:
    pool = make_pool("ab")
    fail(pool, A)
    assert pool.tries_again(A, ANY) == ["*"]
    assert pool.tries_again("anthropic:gone", ANY) == pool.tries_again(B, ANY) == []
    pool.reserve(A, ["*"], NOW + 13, NOW + 10)
    assert taken(pool, now=NOW + 11) == "b"
    pool.release(A, ["*"])
    assert taken(pool, now=NOW + 11) == "a"
    pool.began(A, ANY, NOW + 11)
    assert (list(pool.probing(A)), list(pool.probing("anthropic:gone"))) == (["*"], [])
    pool.reserve(A, ["*"], NOW + 13, NOW + 10, asked=True)
    assert pool.asked_until(A, ANY, NOW + 11) == NOW + 13
    pool.reset(A)
    assert pool.asked_until(A, ANY, NOW + 11) is None


def test_changes_of_cooldowns_are_counted() -> None:
    """Whoever writes them down looks at it."""
    pool = make_pool("a")
    counts = [pool.changes]
    for step in (
        lambda: fail(pool, A),
        lambda: fail(pool, A, make_failure(529), NOW + 10),
        lambda: serve(pool, A, NOW + 20),
        lambda: serve(pool, A, NOW + 30),
        lambda: pool.reset(A),
    ):
        step()
        counts.append(pool.changes)
    assert counts == [0, 1, 1, 2, 2, 3]


# --- Across restarts


def test_what_was_known_is_taken_over() -> None:
    before, after = make_pool("ab"), make_pool("ab")
    fail(before, A)
    fail(before, B, OF_OPUS)
    before.update_quota(B, make_failure(200, "anthropic-ratelimit-requests-limit: 5").headers, NOW)
    after.restore(before.cooldowns(), before.quotas(), NOW)
    assert after.ineligible(ANY, NOW) == before.ineligible(ANY, NOW)
    assert (after.cooldowns(), after.quotas()) == (before.cooldowns(), before.quotas())
    assert fail(after, A, now=NOW + 10).level == 1


def test_it_counts_for_the_next_choice() -> None:
    pool = make_pool("ab")
    assert taken(pool) == "a"
    before = make_pool("a")
    fail(before, A)
    pool.restore(before.cooldowns(), {}, NOW)
    assert taken(pool) == "b"


def test_another_credential_starts_clean() -> None:
    """The limits are the account's, though."""
    before, after = make_pool("a"), Pool([make_account("a", "sk-ant-another")])
    fail(before, A)
    quotas = {A: Quota(NOW, {"5h": Window(0.5)})}
    after.restore(before.cooldowns(), quotas, NOW)
    assert after.ineligible(ANY, NOW) == {}
    assert after.quotas() == quotas


def test_what_is_gone_is_left_out() -> None:
    pool = make_pool("b")
    known = PersistedState(fingerprint(make_account("a").secret), {"*": Cooldown(1, NOW, NOW + 9)})
    pool.restore({A: known}, {A: Quota(NOW)}, NOW)
    assert pool.cooldowns() == pool.quotas() == {}


def test_what_was_written_under_a_wrong_clock_is_bounded() -> None:
    """18 days ahead: it cools for its own length, from now."""
    before, after = make_pool("a"), make_pool("a")
    length = fail(before, A, now=NOW + 18 * 86_400).seconds
    after.restore(before.cooldowns(), {}, NOW)
    assert after.ineligible(ANY, NOW)[A].until == pytest.approx(NOW + length)
    assert after.ineligible(ANY, NOW + length) == {}


def test_a_clock_that_is_set_back_makes_no_cooldown_longer() -> None:
    pool = make_pool("a")
    length = fail(pool, A).seconds
    pool.clock_moved(-86_400.0)
    then = NOW - 86_400
    assert pool.ineligible(ANY, then)[A].until == pytest.approx(then + length)
    assert pool.ineligible(ANY, then + length) == {}


def test_a_clock_that_is_set_back_brings_accounts_back_earlier_by_its_time() -> None:
    pool = make_pool("ab")
    until = NOW + fail(pool, A).seconds
    assert taken(pool, now=NOW) == "b"
    pool.clock_moved(-5.0)
    assert [taken(pool, now=until - 5 + seconds) for seconds in (-0.1, 0)] == ["b", "a"]


def test_a_probe_that_went_out_before_the_clock_was_set_back_keeps_nobody_off() -> None:
    pool = make_pool("a")
    after = NOW + fail(pool, A).seconds + 1
    pool.began(A, ANY, after)
    assert pool.ineligible(ANY, after)
    pool.clock_moved(-86_400.0)
    assert pool.ineligible(ANY, after - 86_400) == {}


def test_what_is_remembered_does_not_change_with_the_pool() -> None:
    pool = make_pool("a")
    fail(pool, A)
    known = pool.cooldowns()
    pool.reset(A)
    assert list(known[A].scopes) == ["*"]


# --- Anything that can happen

kinds = st.sampled_from(
    [
        LIMITED,
        OF_OPUS,
        make_failure(429, "retry-after: 5000"),
        make_failure(429),
        make_failure(401),
        make_failure(529),
        make_failure(None, stage=FailureStage.NETWORK, error_type="cut"),
    ]
)
demands = st.builds(
    Requirements,
    claude_code=st.sampled_from([True, True, True, False]),
    model=st.sampled_from([OPUS, SONNET, None]),
    session=st.sampled_from(["s", "s", "t", None]),
)
configured = st.lists(
    st.fixed_dictionaries(
        {"token": st.sampled_from(["", "sk-ant-oat01-"])},
        optional={
            "weight": st.integers(1, 5),
            "priority": st.integers(0, 1),
            "max_concurrent": st.integers(0, 2),
            "rate_limit": st.integers(1, 5),
            "excluded_models": st.sampled_from([(), ("*sonnet*",)]),
            "enabled": st.sampled_from([True, True, True, False]),
        },
    ),
    min_size=1,
    max_size=4,
)
whichever = st.integers(0, 9)


@dataclass(frozen=True)
class Sent:
    """A request under way."""

    key: str
    requirements: Requirements
    sent_at: float


def covers(scope: str, model: str | None) -> bool:
    return scope == "*" or (model is not None and fnmatchcase(model, scope))


class PoolMachine(RuleBasedStateMachine):
    """Requests come, are answered or fail, time passes: whatever the order, the promises hold.

    A twin that is told the same always chooses the same. No two requests are sent at the very same instant.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.sent: list[Sent] = []
        self.streaming: list[Sent] = []
        self.probing: dict[tuple[str, str], Sent] = {}
        self.homes: dict[Session, tuple[str, str, float]] = {}

    @initialize(
        accounts=configured, strategy=st.sampled_from(sorted(STRATEGIES)), affinity=st.booleans()
    )
    def begin(self, accounts: list[dict[str, Any]], strategy: str, affinity: bool) -> None:
        self.affinity = affinity
        made = []
        for label, settings_ in zip("abcd", accounts, strict=False):
            token = f"{settings_.pop('token') or 'sk-ant-'}{label}"
            made.append(make_account(label, str(token), **settings_))
        self.pools = [Pool(made, strategy, affinity=affinity) for _ in range(2)]
        self.pool = self.pools[0]
        self.types = {account.key: account.type for account in made}

    @rule(seconds=st.sampled_from([0.5, 1, 5, 11, 130, 700, 3601]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        requirements=demands,
        tried=st.just(frozenset()) | st.sets(st.sampled_from([A, B, C])),
        waits=st.booleans(),
    )
    def ask(self, requirements: Requirements, tried: set[str], waits: bool) -> None:
        self.now += 0.001
        skipped = self.pool.ineligible(requirements, self.now)
        foreseen = self.pool.preview(requirements, self.now)
        choice, twin = (
            pool.choose(requirements, self.now, tried, waits=waits) for pool in self.pools
        )
        assert choice == twin
        assert choice == foreseen or tried or not waits
        if choice.wait_until is not None:
            assert waits
            assert choice.account is None
            assert self.now < choice.wait_until <= self.now + PROBE_WAIT
            return
        usable = [key for key in self.types if key not in skipped and key not in tried]
        assert (all_ineligible(self.pool, requirements, self.now) is None) == (
            len(skipped) < len(self.types)
        )
        if choice.account is None:
            assert usable == []
            return
        self.check_choice(choice, requirements, usable)
        self.send(Sent(choice.account.key, requirements, self.now), moved=bool(tried))

    def check_choice(self, choice: Choice, requirements: Requirements, usable: list[str]) -> None:
        assert choice.account is not None
        key = choice.account.key
        assert key in usable
        for scope, state in self.pool.account_state(key).cooldowns.items():
            assert not (covers(scope, requirements.model) and state.cooling(self.now))
        for (probed, scope), probe in self.probing.items():
            if probed == key and covers(scope, requirements.model):
                assert self.now - probe.sent_at >= PROBE_LEASE
        plan = any(self.types[k] == "oauth" for k in usable)
        dear = {k for k in usable if plan and self.types[k] == "api_key"}
        homes = [k for k in self.places(requirements) if k in usable and k not in dear]
        if homes:
            assert (key, choice.rule) == (homes[0], "session affinity")
        else:
            assert choice.rule == self.pool.strategy

    def send(self, sent: Sent, *, moved: bool) -> None:
        for scope in self.pool.account_state(sent.key).cooldowns:
            if covers(scope, sent.requirements.model):
                self.probing[sent.key, scope] = sent
        for pool in self.pools:
            pool.began(sent.key, sent.requirements, sent.sent_at, moved=moved)
        self.sent.append(sent)

    def over(self, under_way: list[Sent], which: int) -> Sent:
        sent = under_way.pop(which % len(under_way))
        self.probing = {where: probe for where, probe in self.probing.items() if probe != sent}
        for pool in self.pools:
            pool.ended(sent.key, sent_at=sent.sent_at)
        return sent

    @rule(requirements=demands, outcomes=st.lists(kinds | st.none(), min_size=1, max_size=8))
    def ask_in_turn(self, requirements: Requirements, outcomes: list[Failure | None]) -> None:
        """One after the other: each is answered or fails before the next is sent."""
        for outcome in outcomes:
            before = len(self.sent)
            self.ask(requirements, set(), waits=True)
            if len(self.sent) == before:
                self.now += 6
            elif outcome:
                self.failed(before, outcome)
            else:
                self.answered(before)
                self.streamed(len(self.streaming) - 1)

    @rule(requirements=demands, after=st.sampled_from([0, 11, 650]), count=st.integers(2, 5))
    def ask_at_once(self, requirements: Requirements, after: float, count: int) -> None:
        """All of them are under way together, when cooldowns are over perhaps."""
        self.now += after
        for n in range(count):
            self.ask(requirements, set(), waits=n % 2 == 0)

    @rule(which=whichever)
    @precondition(lambda self: self.sent)
    def answered(self, which: int) -> None:
        """Its head has come, and cleared what it met; the rest is still to come."""
        sent = self.sent.pop(which % len(self.sent))
        self.streaming.append(sent)
        met = self.pool.account_state(sent.key).cooldowns
        cleared = {
            scope
            for scope, state in met.items()
            if covers(scope, sent.requirements.model) and sent.sent_at > state.began
        }
        left = met.keys() - cleared
        for pool in self.pools:
            pool.succeeded(sent.key, sent.requirements, sent_at=sent.sent_at, now=self.now)
        assert self.pool.account_state(sent.key).cooldowns.keys() == left
        for scope in cleared:
            self.probing.pop((sent.key, scope), None)
        if session := session_of(sent.requirements):
            home = next(iter(self.places(sent.requirements)), sent.key)
            moves = (self.types[home], self.types[sent.key]) == ("api_key", "oauth")
            self.homes[session] = (sent.key if moves else home, sent.key, self.now)

    @rule(which=whichever, failure=kinds)
    @precondition(lambda self: self.sent)
    def failed(self, which: int, failure: Failure) -> None:
        sent = self.over(self.sent, which)
        before = dict(self.pool.account_state(sent.key).cooldowns)
        for pool in self.pools:
            pool.failed(sent.key, sent.requirements, failure, sent_at=sent.sent_at, now=self.now)
        after = self.pool.account_state(sent.key).cooldowns
        for scope, state in before.items():
            if scope not in after:
                assert scope != WHOLE_ACCOUNT
                assert self.now - state.until > LEVEL_LIFETIME
                continue
            assert after[scope].until >= state.until
            assert state.level <= after[scope].level <= state.level + 1
            if sent.sent_at <= state.began and state.level:
                assert after[scope].level == state.level

    @rule(which=whichever)
    @precondition(lambda self: self.sent)
    def client_left(self, which: int) -> None:
        self.over(self.sent, which)

    @rule(which=whichever)
    @precondition(lambda self: self.streaming)
    def streamed(self, which: int) -> None:
        self.over(self.streaming, which)

    @rule(key=st.sampled_from([A, B]))
    @precondition(lambda self: len(self.types) > 1)
    def reset(self, key: str) -> None:
        for pool in self.pools:
            pool.reset(key)
        self.probing = {at: probe for at, probe in self.probing.items() if at[0] != key}

    def places(self, requirements: Requirements) -> list[str]:
        session = session_of(requirements)
        *keys, seen = self.homes.get(session, (0.0,)) if session else (0.0,)
        return [str(key) for key in keys] if self.affinity and self.now - float(seen) < 3600 else []

    @invariant()
    def no_cooldown_exceeds_the_cap(self) -> None:
        for key in getattr(self, "types", ()):
            for state in self.pool.account_state(key).cooldowns.values():
                assert state.until - self.now <= 600

    @invariant()
    def in_flight_is_what_is_under_way(self) -> None:
        for key in getattr(self, "types", ()):
            expected = sum(sent.key == key for sent in self.sent + self.streaming)
            assert self.pool.account_state(key).in_flight == expected

    def teardown(self) -> None:
        for under_way in (self.sent, self.streaming):
            while under_way:
                self.over(under_way, 0)
        for key in getattr(self, "types", ()):
            assert self.pool.account_state(key).in_flight == 0


PoolMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestWhateverHappens = PoolMachine.TestCase


# --- Models of other providers


def test_they_cool_like_accounts_and_it_is_remembered() -> None:
    pool = with_others()
    failure = make_failure(429, "retry-after: 30")
    pool.failed("x/1", ANY, failure, sent_at=NOW, now=NOW)
    assert other_choice(pool) == "x/2"
    anew = with_others()
    anew.restore(pool.cooldowns(), {}, NOW)
    assert other_choice(anew) == "x/2"


def test_a_session_does_not_move_to_them() -> None:
    pool = with_others()
    pool.succeeded("anthropic:a", in_session(), sent_at=NOW, now=NOW)
    pool.succeeded("x/1", in_session(), sent_at=NOW, now=NOW)
    found = pool.choose(in_session(), NOW)
    assert (found.account and found.account.key, found.rule) == ("anthropic:a", "session affinity")


def test_they_can_be_replaced_while_accounts_stay() -> None:
    pool = with_others()
    pool.failed("x/2", ANY, make_failure(429), sent_at=NOW, now=NOW)
    pool.update(pool.accounts, [other("x/2"), other("x/3")])
    assert [account.key for account in pool.targets] == ["anthropic:a", "x/2", "x/3"]
    assert other_choice(pool, "x/2", "x/3") == "x/3"


def test_another_providers_own_words_are_the_reason_of_its_cooldown() -> None:
    pool = with_others()
    refused = make_failure(403, message="x/2 refused the key (check X): bad")
    pool.failed("x/2", ANY, refused, sent_at=NOW, now=NOW)
    reason = pool.ineligible_fallbacks(("x/2",), Requirements(), NOW)["x/2"].reason
    assert reason == "cooling for 300 s: refused the key (check X): bad"
    assert pool.account_state("x/2").tally.last_error == "refused the key (check X): bad"


# --- Endpoints


COUNTING = replace(ANY, endpoint="count_tokens")


def limited_at(requirements: Requirements) -> Pool:
    pool = make_pool()
    pool.failed(A, requirements, LIMITED, sent_at=NOW, now=NOW)
    return pool


@pytest.mark.parametrize(
    ("limited", "other"), [(ANY, COUNTING), (COUNTING, ANY)], ids=["messages", "counting"]
)
def test_an_endpoint_that_is_limited_leaves_the_other_where_it_is(
    limited: Requirements, other: Requirements
) -> None:
    pool = limited_at(limited)
    assert (taken(pool, limited), taken(pool, other)) == ("b", "a")


@pytest.mark.parametrize(
    ("limited", "other"), [(ANY, COUNTING), (COUNTING, ANY)], ids=["messages", "counting"]
)
def test_a_success_of_the_other_leaves_its_back_off_as_it_is(
    limited: Requirements, other: Requirements
) -> None:
    """Each one in a row lasts twice as long, however much is answered well in between elsewhere."""
    pool, now, lasted = make_pool("a"), NOW, []
    for _ in range(4):
        lasted.append(pool.failed(A, limited, LIMITED, sent_at=now, now=now).seconds)
        now += lasted[-1] + 1
        pool.succeeded(A, other, sent_at=now - 0.5, now=now)
    assert lasted == [10, 20, 40, 80]


def test_the_limit_of_a_model_on_counting_is_by_itself() -> None:
    pool = make_pool()
    pool.failed(A, COUNTING, OF_OPUS, sent_at=NOW, now=NOW)
    assert list(pool.account_state(A).cooldowns) == ["count_tokens:*opus*"]
    assert taken(pool, replace(COUNTING, model=SONNET)) == "a"


def test_a_refused_account_is_refused_at_both() -> None:
    pool = make_pool()
    pool.failed(A, COUNTING, make_failure(401), sent_at=NOW, now=NOW)
    assert (taken(pool, ANY), taken(pool, COUNTING)) == ("b", "b")


def test_counting_gives_a_session_no_home() -> None:
    """It writes nothing to a prompt cache."""
    pool = limited_at(ANY)
    pool.succeeded(A, replace(COUNTING, session="s"), sent_at=NOW, now=NOW)
    pool.succeeded(B, in_session(), sent_at=NOW, now=NOW)
    assert taken(pool, in_session(), NOW + 11) == "b"


@pytest.mark.parametrize("failure", [LIMITED, make_failure(401)], ids=["limited", "refused"])
def test_what_was_met_while_counting_is_remembered(failure: Failure) -> None:
    pool = make_pool()
    pool.failed(A, COUNTING, failure, sent_at=NOW, now=NOW)
    later = make_pool()
    later.restore(pool.cooldowns(), {}, NOW)
    assert [taken(later, each) for each in (ANY, COUNTING)] == [
        taken(pool, each) for each in (ANY, COUNTING)
    ]


# --- What was used of windows


def used_five_hours(pool: Pool, minute: float, share: float) -> None:
    now = NOW + 60 * minute
    pool.take_quota(A, Quota(now, {"5h": Window(share, "", NOW + 9000, now)}))


def test_readings_of_windows_are_handed_on_once_a_minute() -> None:
    pool = make_pool()
    for half_minute in range(5):
        used_five_hours(pool, half_minute / 2, 0.1 + half_minute / 100)
    handed_on = pool.unsaved_readings()
    assert [(each.at - NOW, each.account, each.window) for each in handed_on] == [
        (0, A, "5h"),
        (60, A, "5h"),
        (120, A, "5h"),
    ]
    assert pool.unsaved_readings() == ()


def test_the_pace_of_the_last_hour_survives_a_restart() -> None:
    pool, again = make_pool(), make_pool()
    for minute in range(0, 61, 10):
        used_five_hours(pool, minute, minute / 100)
    now = NOW + 3600
    readings = [*pool.unsaved_readings()]
    strange = [
        SavedReading(now + 1e6, A, "5h", 0.9),
        SavedReading(0.0, A, "5h", 0.9),
        SavedReading(now, "anthropic:gone", "5h", 0.9),
        SavedReading(now, A, "5h", -1.0),
    ]
    again.restore({}, pool.quotas(), now, [*strange, *reversed(readings)])
    expected = pool.account_state(A).pace("5h", now)
    assert again.account_state(A).pace("5h", now) == pytest.approx(expected)
    assert expected == pytest.approx(0.6 / 3600)
    assert again.unsaved_readings() == ()
