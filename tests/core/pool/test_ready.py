from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from neurolink_mitm.core.cost.budget import Metering
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.choosing import NAMED
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.ready import KINDS, Kind, Ready, ReadyByKind, Verdict
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.core.pool.windows import LONGEST_WINDOW, Window
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.endpoints import COUNT_TOKENS, MESSAGES
from tests.core.pool.linear import LinearPool
from tests.fakes import NOW, make_account, make_failure

OPUS, SONNET = "claude-opus-4-6", "claude-sonnet-4-6"


class Judge:
    """Says what it is told, and notes whom it was asked about."""

    def __init__(self, **verdicts: Verdict) -> None:
        self.verdicts = verdicts
        self.asked = ""

    def __call__(self, account: Account, now: float) -> Verdict:
        self.asked += account.label
        return self.verdicts.get(account.label, Verdict(()))


def kind(model: str) -> Kind:
    return Kind(claude_code=True, model=model, endpoint=MESSAGES, paid=True)


def of_kinds(judge: Judge, labels: str) -> ReadyByKind:
    accounts = [make_account(label) for label in labels]
    return ReadyByKind(accounts, lambda kind, account, now: judge(account, now))


def ready_with(judge: Judge, labels: str = "abc") -> Ready:
    ready = Ready([make_account(label) for label in labels], judge)
    ready.bring_up(NOW)
    judge.asked = ""
    return ready


def order(ready: Ready, *but: str) -> str:
    return "".join(account.label for account in ready.eligible(but))


def test_the_lowest_rank_goes_first_and_equals_are_in_pool_order() -> None:
    ready = ready_with(
        Judge(a=Verdict((2,)), b=Verdict((1,)), c=Verdict((2,)), d=Verdict((1,))), "abcd"
    )
    assert order(ready) == "bdac"


def test_the_others_are_in_pool_order() -> None:
    ready = ready_with(Judge(a=Verdict(None), c=Verdict(None)))
    assert [account.label for account in ready.ineligible()] == ["a", "c"]
    assert order(ready) == "b"


def test_nobody_is_judged_twice_without_a_reason() -> None:
    ready = ready_with(judge := Judge())
    ready.bring_up(NOW + 1e6)
    assert judge.asked == ""


def test_who_was_touched_is_judged_anew_once() -> None:
    ready = ready_with(judge := Judge())
    judge.verdicts["b"] = Verdict(None)
    ready.touch("anthropic:b")
    ready.touch("anthropic:gone")
    for _ in range(2):
        ready.bring_up(NOW)
    assert (judge.asked, order(ready)) == ("b", "ac")


def test_time_ends_a_verdict() -> None:
    ready = ready_with(judge := Judge(a=Verdict(None, NOW + 5), b=Verdict(None, NOW + 9)))
    del judge.verdicts["a"], judge.verdicts["b"]
    orders = []
    for now in (NOW + 4.9, NOW + 5, NOW + 8.9, NOW + 9, NOW + 99):
        ready.bring_up(now)
        orders.append(order(ready))
    assert orders == ["c", "ac", "ac", "abc", "abc"]
    assert judge.asked == "ab"


def test_a_verdict_that_ends_at_once_is_judged_every_time() -> None:
    ready = ready_with(judge := Judge(a=Verdict((), NOW)))
    for now in (NOW, NOW, NOW + 1):
        ready.bring_up(now)
    assert judge.asked == "aaa"


def test_another_rank_is_another_place() -> None:
    ready = ready_with(judge := Judge())
    judge.verdicts["a"] = Verdict((1,))
    judge.verdicts |= {"b": Verdict((0,)), "c": Verdict((2,))}
    for label in "abc":
        ready.touch(f"anthropic:{label}")
    ready.bring_up(NOW)
    assert order(ready) == "bac"


def test_those_who_had_their_turn_are_left_out() -> None:
    assert order(ready_with(Judge()), "anthropic:a") == "bc"


def test_it_is_the_same_object_until_something_changes() -> None:
    """By that round-robin knows that its accounts are still the same."""
    ready = ready_with(judge := Judge())
    before = ready.eligible()
    ready.touch("anthropic:a")
    ready.bring_up(NOW)
    assert ready.eligible() is before
    judge.verdicts["a"] = Verdict(None)
    ready.touch("anthropic:a")
    ready.bring_up(NOW)
    assert ready.eligible() is not before


@pytest.mark.parametrize(
    ("key", "label"), [("anthropic:a", None), ("anthropic:b", "b"), ("x", None)]
)
def test_find(key: str, label: str | None) -> None:
    found = ready_with(Judge(a=Verdict(None))).find(key)
    assert (found.label if found else None) == label


def test_the_latest_kinds_are_kept_ready() -> None:
    """Clients choose the models: those that name many would fill the memory, and have what is in use forgotten."""
    judge = Judge()
    by_kind = of_kinds(judge, "a")
    for n in range(3 * KINDS):
        by_kind.of(kind(f"claude-{n}"), NOW)
        by_kind.of(kind(OPUS), NOW)
    assert len(judge.asked) == 3 * KINDS + 1
    by_kind.of(kind("claude-0"), NOW)
    assert len(judge.asked) == 3 * KINDS + 2


@pytest.mark.parametrize(
    ("do", "asked"),
    [
        (lambda by_kind: by_kind.touch("anthropic:a"), "aa"),
        (lambda by_kind: by_kind.clear(), "abab"),
        (lambda by_kind: by_kind.of(kind(OPUS), NOW - 1), "ab"),
        (lambda by_kind: None, ""),
    ],
    ids=["touched", "cleared", "clock-set-back", "nothing"],
)
def test_what_is_judged_anew_of_two_kinds(do: Callable[[ReadyByKind], object], asked: str) -> None:
    judge = Judge()
    by_kind = of_kinds(judge, "ab")
    for _ in range(2):
        judge.asked = ""
        for model in (OPUS, SONNET):
            by_kind.of(kind(model), NOW)
        do(by_kind)
    judge.asked = ""
    for model in (OPUS, SONNET):
        by_kind.of(kind(model), NOW)
    assert judge.asked == asked


# --- The pool chooses as if it had looked at every account

FAILURES = [
    make_failure(429, "retry-after: 10"),
    make_failure(429, "retry-after: 5000"),
    make_failure(429),
    make_failure(
        429,
        "anthropic-ratelimit-unified-representative-claim: seven_day_opus",
    ),
    make_failure(401),
    make_failure(529),
]
windows = st.builds(
    Window,
    st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    st.just(""),
    st.none()
    | st.sampled_from([NOW - 9, NOW + 1, NOW + 60, NOW + 700, NOW + LONGEST_WINDOW + 30, math.inf]),
)
quotas = st.builds(
    lambda windows, fallback: Quota(NOW, windows, fallback=fallback),
    st.dictionaries(st.sampled_from(["5h", "7d", "7d_opus", "7d_sonnet"]), windows, max_size=3),
    st.sampled_from([None, 0.2, 0.8]),
)
demands = st.builds(
    Requirements,
    claude_code=st.sampled_from([True, True, True, False]),
    model=st.sampled_from([OPUS, SONNET, None]),
    session=st.sampled_from(["s", "t", None]),
    metering=st.sampled_from(Metering),
    endpoint=st.sampled_from([MESSAGES, MESSAGES, COUNT_TOKENS]),
)
settings_of = st.fixed_dictionaries(
    {"token": st.sampled_from(["", "sk-ant-oat01-"])},
    optional={
        "weight": st.sampled_from([0.1, 0.3, 1, 2, 5]),
        "priority": st.integers(0, 1),
        "max_concurrent": st.integers(0, 2),
        "rate_limit": st.integers(1, 7),
        "excluded_models": st.sampled_from([(), ("*sonnet*",)]),
        "enabled": st.sampled_from([True, True, True, False]),
        "disabled": st.sampled_from([None, None, None, "ill"]),
        "expires_at": st.sampled_from([NOW + 5, NOW + 700]),
        "refreshable": st.booleans(),
    },
)
members = st.dictionaries(st.sampled_from("abcdefghijklmn"), settings_of, min_size=1)
which = st.integers(0, 99)


def made(accounts: dict[str, dict[str, Any]]) -> list[Account]:
    return [
        make_account(
            label,
            f"{each['token'] or 'sk-ant-'}{label}",
            **{k: v for k, v in each.items() if k != "token"},
        )
        for label, each in accounts.items()
    ]


class SameChoice(RuleBasedStateMachine):
    """Whatever happens, and in whatever order: the pool and one that judges every account are the same."""

    @initialize(
        accounts=members, strategy=st.sampled_from(sorted(STRATEGIES)), affinity=st.booleans()
    )
    def begin(self, accounts: dict[str, Any], strategy: str, affinity: bool) -> None:
        self.now = NOW
        self.under_way: list[tuple[str, Requirements, float]] = []
        ready = Pool(made(accounts), strategy, affinity=affinity)
        self.linear = LinearPool(made(accounts), strategy, affinity=affinity)
        self.ready, self.pools = ready, (ready, self.linear)

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 9, 10, 120, 300, 600, 3600]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.sampled_from([0.2, 30, 4000]), noticed=st.booleans())
    def the_clock_is_set_back(self, seconds: float, noticed: bool) -> None:
        self.now -= seconds
        for pool in self.pools if noticed else ():
            pool.clock_moved(-seconds)

    @rule(
        requirements=demands,
        tried=st.sets(st.sampled_from("abcdef"), max_size=3),
        sends=st.booleans(),
    )
    def asks(self, requirements: Requirements, tried: set[str], sends: bool) -> None:
        keys = {f"anthropic:{label}" for label in tried}
        whole = self.linear.choose(requirements, self.now, keys)
        choice = self.ready.choose(requirements, self.now, keys)
        named = dict(list(whole.ineligible.items())[:NAMED])
        assert choice == replace(whole, ineligible=named, others=len(whole.ineligible) - len(named))
        if choice.account and sends:
            self.begins(choice.account.key, requirements)

    @rule(requirements=demands, times=st.integers(1, 12))
    def asks_in_a_row(self, requirements: Requirements, times: int) -> None:
        for _ in range(times):
            self.asks(requirements, set(), sends=True)

    def begins(self, key: str, requirements: Requirements) -> None:
        self.now += 0.001
        for pool in self.pools:
            pool.began(key, requirements, self.now)
        self.under_way.append((key, requirements, self.now))

    @rule(which=which, failure=st.none() | st.sampled_from(FAILURES), sent=st.booleans())
    @precondition(lambda self: self.under_way)
    def ends(self, which: int, failure: Failure | None, sent: bool) -> None:
        key, requirements, sent_at = self.under_way.pop(which % len(self.under_way))
        for pool in self.pools:
            pool.ended(key, sent_at=sent_at, sent=sent)
            if failure:
                pool.failed(key, requirements, failure, sent_at=sent_at, now=self.now)
            elif sent:
                pool.succeeded(key, requirements, sent_at=sent_at, now=self.now)

    @rule(which=which, quota=quotas)
    def reports(self, which: int, quota: Quota) -> None:
        key = self.one(which).key
        for pool in self.pools:
            pool.take_quota(key, quota)

    @rule(which=which, what=st.sampled_from(["reset", "disable", "renew"]))
    def is_changed(self, which: int, what: str) -> None:
        key = self.one(which).key
        for pool in self.pools:
            if what == "reset":
                pool.reset(key)
            elif what == "disable":
                pool.disable(key, "refused")
            else:
                pool.renew(key, Secret("sk-ant-oat01-new"), self.now + 60, email="a@b.example")

    @rule(accounts=members)
    def others_are_configured(self, accounts: dict[str, Any]) -> None:
        for pool in self.pools:
            pool.update(made(accounts))

    @rule(strategy=st.sampled_from(sorted(STRATEGIES)), affinity=st.booleans(), which=which)
    def another_strategy_is_configured(self, strategy: str, affinity: bool, which: int) -> None:
        for pool in self.pools:
            pool.configure(strategy, affinity=affinity, primary=self.one(which).label)

    @rule(
        cap=st.sampled_from([None, 0.0, 1.0]),
        forbidden=st.booleans(),
        spent=st.sampled_from([0.0, 1.0]),
    )
    def the_budget_changes(self, cap: float | None, forbidden: bool, spent: float) -> None:
        for pool in self.pools:
            pool.budget.cap, pool.budget.spent = cap, spent
            pool.budget.pay_per_use = "never" if forbidden else "allow"
            pool.budget.day_ends_at = self.now + 300

    @rule()
    def restarts(self) -> None:
        cooldowns, reported = self.linear.cooldowns(), self.linear.quotas()
        for pool in self.pools:
            pool.restore(cooldowns, reported, self.now)

    @rule()
    def are_persisted(self) -> None:
        assert self.ready.cooldowns() == self.linear.cooldowns()
        assert self.ready.quotas() == self.linear.quotas()

    def one(self, which: int) -> Account:
        return self.linear.accounts[which % len(self.linear.accounts)]

    def teardown(self) -> None:
        if not hasattr(self, "linear"):
            return
        assert self.ready.accounts == self.linear.accounts
        for account in self.linear.accounts:
            assert self.ready.account_state(account.key) == self.linear.account_state(account.key)
        self.are_persisted()


SameChoice.TestCase.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
TestSameChoice = SameChoice.TestCase


# --- And the size of the pool does not matter


def calls(do: Callable[[], object]) -> int:
    """How many functions are called meanwhile."""
    count = 0

    def note(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        do()
    finally:
        sys.setprofile(None)
    return count


def calls_of_a_request(size: int, strategy: str, cooling: int, **settings_: Any) -> int:
    """Calls that choosing for a request and booking it take, in a pool where the first `cooling` accounts are."""
    pool = Pool([make_account(str(n), **settings_) for n in range(size)], strategy)
    requirements = Requirements(claude_code=True, model=OPUS, session="s")
    for account in pool.accounts[:cooling]:
        pool.failed(account.key, requirements, FAILURES[1], sent_at=NOW, now=NOW)

    def request(now: float) -> None:
        choice = pool.choose(requirements, now)
        assert choice.account
        assert choice.why
        account = pool.newest(choice.account)
        pool.began(account.key, requirements, now)
        pool.take_quota(account.key, Quota(now, {"5h": Window(0.4, "", NOW + 900)}))
        pool.succeeded(account.key, requirements, sent_at=now, now=now)
        pool.ended(account.key, sent_at=now)
        pool.cooldowns()
        pool.quotas()

    request(NOW + 1)
    return calls(lambda: request(NOW + 2))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("spare", [1, 20], ids=["most-cooling", "some-cooling"])
@pytest.mark.parametrize(
    "limits", [{}, {"max_concurrent": 1, "rate_limit": 9}], ids=["unlimited", "limited"]
)
def test_a_request_costs_no_more_in_a_large_pool(
    strategy: str, spare: int, limits: dict[str, int]
) -> None:
    few, many = (calls_of_a_request(n, strategy, n - spare, **limits) for n in (40, 400))
    assert many == few


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nor_where_all_are_usable(strategy: str) -> None:
    few, many = (calls_of_a_request(n, strategy, 0) for n in (3, 400))
    assert many == few
