from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from neurolink_mitm.core.pool.account_state import Ineligible
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.pool.quota import Quota
from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.core.pool.windows import Window
from neurolink_mitm.core.redact.secret import Secret
from tests.core.pool.pools import (
    ANY,
    HAIKU,
    LIMITED,
    OF_OPUS,
    OPUS,
    SONNET,
    A,
    B,
    C,
    fail,
    in_session,
    login,
    make_pool,
    other,
    other_choice,
    serve,
    taken,
    with_others,
)
from tests.fakes import NOW, make_account, make_other


def test_the_first_that_serves_is_taken() -> None:
    pool = Pool([make_account("a", enabled=False), make_account("b"), make_account("c")])
    assert pool.choose(ANY, NOW) == Choice(
        pool.accounts[1], "fill-first", {A: Ineligible("not enabled")}
    )


def test_accounts_that_had_their_turn_are_left_out() -> None:
    pool = make_pool("abc")
    assert [taken(pool, tried=tried) for tried in ("", "a", "ab", "abc")] == ["a", "b", "c", None]


def test_who_had_a_turn_is_not_called_skipped() -> None:
    choice = make_pool("ab").choose(ANY, NOW, {A, B})
    assert (choice.account, choice.ineligible) == (None, {})


def test_without_accounts_there_is_none() -> None:
    assert make_pool("").choose(ANY, NOW) == Choice(None, "fill-first", {})


@pytest.mark.parametrize(
    ("strategy", "order"), [("fill-first", "aaa"), ("round-robin", "aba"), ("quota-aware", "bbb")]
)
def test_strategies_by_their_names(strategy: str, order: str) -> None:
    pool = make_pool("ab", strategy)
    pool.account_state(A).update_quota(Quota(NOW, {"5h": Window(0.9)}))
    assert "".join(str(taken(pool)) for _ in order) == order
    assert pool.choose(ANY, NOW).rule == strategy


@pytest.mark.parametrize("primary", ["b", B])
def test_the_primary_account_goes_first_among_equals(primary: str) -> None:
    assert taken(make_pool("ab", "quota-aware", primary=primary)) == "b"


def test_no_account_is_primary_where_none_is_named() -> None:
    assert taken(make_pool("ab", "quota-aware")) == "a"


@pytest.mark.parametrize(
    ("requirements", "label"),
    [
        (ANY, "a"),
        (Requirements(model=OPUS), "b"),
        (Requirements(claude_code=True, model=SONNET), "b"),
        (Requirements(claude_code=True), "a"),
    ],
    ids=["claude-code", "another-client", "excluded-model", "no-model"],
)
def test_what_is_asked_decides_who_serves(requirements: Requirements, label: str) -> None:
    pool = Pool([replace(login("a"), excluded_models=("*sonnet*",)), make_account("b")])
    assert taken(pool, requirements) == label


def test_a_preview_changes_nothing() -> None:
    pool = make_pool("ab", "round-robin")
    seen = [pool.preview(ANY, NOW).account for _ in range(3)]
    assert [a.label for a in seen if a] == ["a", "a", "a"]
    assert taken(pool) == "a"
    assert pool.preview(ANY, NOW).account == pool.accounts[1]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_who_is_asked_after_an_account(strategy: str) -> None:
    """And nothing changes by that."""
    pool = make_pool("abc", strategy)
    pool.failed(B, ANY, LIMITED, sent_at=NOW, now=NOW)
    a, _, c = pool.accounts
    assert [pool.next_after(a, ANY, NOW), pool.next_after(c, ANY, NOW)] == [c, a]
    assert taken(pool) == "a"
    pool.failed(C, ANY, LIMITED, sent_at=NOW, now=NOW)
    assert pool.next_after(a, ANY, NOW) is None


def test_of_many_that_are_passed_over_the_first_are_named() -> None:
    pool = Pool([make_account(str(n), enabled=n == 12) for n in range(13)])
    choice = pool.choose(ANY, NOW)
    assert (len(choice.ineligible), choice.others) == (10, 2)
    preview = pool.preview(ANY, NOW)
    assert (len(preview.ineligible), preview.others) == (12, 0)


PAST = Quota(NOW, {"5h": Window(0.9, "", NOW + 60)})


@pytest.mark.parametrize(
    ("strategy", "events", "labels"),
    [
        ("fill-first", [lambda p: fail(p, A), lambda p: p.reset(A)], "aba"),
        ("fill-first", [lambda p: fail(p, A), lambda p: p.renew(A, Secret("new"), None)], "aba"),
        ("fill-first", [lambda p: p.disable(A, "refused")], "ab"),
        (
            "fill-first",
            [lambda p: p.began(A, ANY, NOW), lambda p: p.ended(A, sent_at=NOW)],
            "aba",
        ),
        ("fill-first", [lambda p: p.update([make_account("c"), make_account("a")])], "ac"),
        ("quota-aware", [lambda p: p.take_quota(A, PAST), lambda p: p.take_quota(B, PAST)], "aba"),
        ("quota-aware", [lambda p: p.configure("quota-aware", affinity=True, primary="b")], "ab"),
    ],
    ids=["reset", "renewed", "disabled", "at-its-limit", "others", "quota", "primary"],
)
def test_what_happens_counts_for_the_next_choice(
    strategy: str, events: list[Callable[[Pool], object]], labels: str
) -> None:
    pool = Pool([make_account("a", max_concurrent=1), make_account("b")], strategy)
    seen = [taken(pool)]
    for event in events:
        event(pool)
        seen.append(taken(pool))
    assert "".join(map(str, seen)) == labels


def test_and_so_does_the_end_of_a_window() -> None:
    pool = make_pool("ab", "quota-aware")
    pool.take_quota(A, PAST)
    assert [taken(pool, now=NOW + seconds) for seconds in (0, 59.9, 60)] == ["b", "b", "a"]


# --- Session affinity


def test_a_session_stays_where_it_was_served() -> None:
    pool = make_pool("ab", "round-robin")
    serve(pool, B, requirements=in_session())
    choices = [pool.choose(in_session(), NOW) for _ in range(3)]
    assert [(c.account, c.rule) for c in choices] == [(pool.accounts[1], "session affinity")] * 3


def test_others_go_round() -> None:
    pool = make_pool("ab", "round-robin")
    serve(pool, B, requirements=in_session("s"))
    assert [taken(pool, requirements) for requirements in (in_session("t"), ANY)] == ["a", "b"]


def test_it_yields_where_its_account_is_skipped_and_returns() -> None:
    pool = make_pool("ab")
    serve(pool, A, requirements=in_session())
    fail(pool, A)
    assert taken(pool, in_session(), NOW + 1) == "b"
    serve(pool, B, NOW + 1, in_session())
    assert taken(pool, in_session(), NOW + 10) == "a"


def test_it_yields_where_its_account_had_its_turn() -> None:
    pool = make_pool("ab")
    serve(pool, A, requirements=in_session())
    assert taken(pool, in_session(), tried="a") == "b"


def test_it_yields_for_another_model() -> None:
    pool = make_pool("ab")
    serve(pool, A, requirements=in_session())
    fail(pool, A, OF_OPUS)
    assert taken(pool, in_session(model=OPUS)) == "b"
    assert taken(pool, in_session(model=SONNET)) == "a"


def test_each_family_of_models_has_a_home_of_its_own() -> None:
    """The session began while Opus was limited: its Haiku, which wasn't, is at home where it was served."""
    pool = make_pool("ab")
    fail(pool, A, OF_OPUS)
    serve(pool, B, NOW + 1, in_session(model=OPUS))
    assert taken(pool, in_session(model=HAIKU), NOW + 1) == "a"
    serve(pool, A, NOW + 1, in_session(model=HAIKU))
    assert taken(pool, in_session(model="claude-opus-4-7"), NOW + 11) == "b"
    assert taken(pool, in_session(model=HAIKU), NOW + 11) == "a"


def test_who_stands_in_for_the_home_serves_on_until_it_is_back() -> None:
    """Each account that served one request of the session would write its cache."""
    pool = make_pool("abc", "round-robin")
    serve(pool, A, requirements=in_session())
    fail(pool, A)
    serve(pool, C, NOW + 1, in_session())
    assert [taken(pool, in_session(), NOW + 2 + n) for n in range(3)] == ["c", "c", "c"]
    assert taken(pool, in_session(), NOW + 11) == "a"


def test_a_fallback_model_is_no_home() -> None:
    """A session that another provider has served finds its cache on the account that serves it next."""
    other = make_other()
    pool = Pool([make_account("a"), make_account("b")], "round-robin", fallbacks=[other])
    pool.succeeded(other.key, in_session(), sent_at=NOW, now=NOW)
    serve(pool, B, NOW, in_session())
    assert [taken(pool, in_session()) for _ in range(3)] == ["b", "b", "b"]


def test_it_can_be_off() -> None:
    pool = make_pool("ab", affinity=False)
    serve(pool, B, requirements=in_session())
    assert taken(pool, in_session()) == "a"


def test_it_changes_nothing_under_fill_first_until_a_failover() -> None:
    pool = make_pool("ab")
    serve(pool, A, requirements=in_session())
    assert taken(pool, in_session()) == taken(pool) == "a"


def test_it_does_not_keep_a_session_on_paid_calls() -> None:
    """A subscription could serve it, and is paid for already."""
    pool = Pool([login("a"), make_account("b")])
    serve(pool, B, requirements=in_session())
    assert pool.choose(in_session(), NOW) == Choice(pool.accounts[0], "fill-first", {})


def test_a_session_that_came_back_from_paid_calls_is_at_home_on_the_plan() -> None:
    """Else it would go round all plans for ever, and find its cache on none."""
    pool = Pool([login("a"), login("b"), make_account("c")], "round-robin")
    serve(pool, C, requirements=in_session())
    served = []
    for passed in range(4):
        account = pool.choose(in_session(), NOW + passed).account
        assert account is not None
        serve(pool, account.key, NOW + passed, in_session())
        served.append(account.label)
    assert served == ["a", "a", "a", "a"]


def test_but_it_stays_on_paid_calls_where_no_plan_may_serve_it() -> None:
    pool = Pool([login("a"), make_account("b"), make_account("c")], "round-robin")
    requirements = replace(in_session(), claude_code=False)
    serve(pool, C, requirements=requirements)
    assert [taken(pool, requirements) for _ in range(3)] == ["c", "c", "c"]


# --- Another configuration


def test_another_strategy_chooses_and_what_is_known_stays() -> None:
    pool = make_pool("ab")
    fail(pool, A)
    pool.succeeded(B, in_session(), sent_at=NOW, now=NOW)
    pool.configure("round-robin", affinity=True, primary=None)
    assert pool.strategy == "round-robin"
    assert pool.account_state(A).cooldowns
    assert pool.choose(in_session(), NOW).rule == "session affinity"
    later = NOW + 60
    assert [taken(pool, ANY, later) for _ in range(4)] == ["a", "b", "a", "b"]


def test_the_same_strategy_goes_on_where_it_was() -> None:
    pool = make_pool("ab", "round-robin")
    assert taken(pool) == "a"
    pool.configure("round-robin", affinity=True, primary=None)
    assert taken(pool) == "b"


def test_affinity_can_be_switched_off_and_on() -> None:
    pool = make_pool("ab")
    pool.succeeded(B, in_session(), sent_at=NOW, now=NOW)
    assert taken(pool, in_session()) == "b"
    pool.configure("fill-first", affinity=False, primary=None)
    assert taken(pool, in_session()) == "a"
    pool.configure("fill-first", affinity=True, primary=None)
    pool.succeeded(B, in_session(), sent_at=NOW, now=NOW)
    assert taken(pool, in_session()) == "b"


def test_another_account_can_be_primary() -> None:
    pool = make_pool("ab", "quota-aware", primary="a")
    pool.configure("quota-aware", affinity=True, primary="b")
    assert taken(pool) == "b"


# --- Models of other providers


def test_they_are_never_chosen_for_an_account() -> None:
    assert with_others().choose(ANY, NOW, {"anthropic:a"}).account is None


def test_they_are_taken_in_the_order_asked_for() -> None:
    assert other_choice(with_others()) == "x/1"
    assert other_choice(with_others(), "x/2", "x/1") == "x/2"
    assert other_choice(with_others(), tried={"x/1"}) == "x/2"
    assert other_choice(with_others(), "x/9") is None


def test_one_without_a_key_says_so() -> None:
    pool = Pool([], fallbacks=[other("x/1", disabled="no key: set A")])
    assert (
        pool.choose_fallback(("x/1",), Requirements(), NOW).why
        == "no account left; skipped x/1: no key: set A"
    )
