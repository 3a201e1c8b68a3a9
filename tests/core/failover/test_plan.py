from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Deliver, Hold, Pause, Plan, Reconsider, Reply, Step, Try
from neurolink_mitm.core.failover.errors import Action, Failure, FailureStage, classify
from neurolink_mitm.core.failover.ineligible import all_ineligible
from neurolink_mitm.core.failover.plan import (
    MAX_PAUSE,
    TRANSLATOR_DOWN,
    failover_plan,
    final_step,
    not_processed,
)
from neurolink_mitm.core.failover.unreachable import permanent_failure
from neurolink_mitm.core.pool.choice import Choice, Requirements
from neurolink_mitm.core.pool.pool import Pool
from tests.fakes import NOW, FakeClock, make_account, make_failure

OK = None
OPUS = "claude-opus-4-6"
CLAUDE_CODE = Requirements(claude_code=True, model=OPUS)
LOGIN = "sk-ant-oat01-x"

LIMITED = make_failure(429, "retry-after: 10")
REFUSED = make_failure(401)
TOKEN = make_failure(401, refreshable=True)
NO_LOGIN = Failure(FailureStage.LOGIN, None, "refresh_failed", "no", sent=False)
BUSY = make_failure(529, error_type="overloaded_error", message="Overloaded")
FAULT = make_failure(400, error_type="invalid_request_error", message="max_tokens: too many")
TOO_LONG = make_failure(
    400,
    "x-neurolink-mendable: 1",
    error_type="invalid_request_error",
    message="prompt is too long for x",
)
TOO_LARGE = make_failure(
    413, "x-neurolink-mendable: 1", error_type="request_too_large", message="413"
)
SIGNATURE = make_failure(
    400, error_type="invalid_request_error", message="Invalid `signature` in `thinking` block"
)
UNREACHED = Failure.of_network("connect_error", "refused", sent=False)
DOWN = Failure.of_network(TRANSLATOR_DOWN, "is not running", sent=False)
NO_TRUST = permanent_failure("x")
CUT = Failure.of_network("cut", "reset")
SLOW = Failure(FailureStage.TIMEOUT, None, "timeout", "no event")
LATE = Failure(FailureStage.TIMEOUT, None, "total_timeout", "the time is up")
HOLLOW = Failure(FailureStage.EMPTY, None, "empty_stream", "no content")
SAID = Failure(FailureStage.EVENT, None, "overloaded_error", "Overloaded")
SAID_LIMITED = Failure(FailureStage.EVENT, None, "rate_limit_error", "slow down")
COOLING = Reply(429, "rate_limit_error", "All accounts are cooling", 10)


def start(
    labels: str,
    *,
    refuse: Reply | None = None,
    jitter: float = 0.5,
    repeatable: bool = True,
    **of: dict[str, str],
) -> Plan:
    """The way through these accounts, in this order; `of` has settings of some."""
    accounts = [make_account(label, **of.get(label, {})) for label in labels]

    def choose(tried: set[str]) -> Choice:
        left = [account for account in accounts if account.key not in tried]
        return Choice(left[0] if left else None, "fill-first", {})

    return failover_plan(choose, lambda errors: refuse, jitter=jitter, repeatable=repeatable)


def walk(plan: Plan, outcomes: Sequence[Failure | None]) -> list[Step]:
    """All steps, when the attempts come to these outcomes."""
    left, steps = list(outcomes), [next(plan)]
    while True:
        step = steps[-1]
        if isinstance(step, Try):
            outcome = left.pop(0)
            if outcome is OK:
                break
            steps.append(plan.send(outcome))
        elif isinstance(step, Pause):
            steps.append(next(plan))
        else:
            assert next(plan, None) is None, "it goes on after its end"
            break
    assert left == [], "it ended before its time"
    return steps


def told(steps: Sequence[Step]) -> str:
    return " ".join(map(_word, steps))


def _word(step: Step) -> str:
    match step:
        case Try(account, _, without_thinking, refresh):
            return account.label + "*" * without_thinking + "+" * refresh
        case Pause():
            return "pause"
        case Deliver():
            return "deliver"
        case Reply(status):
            return str(status)


# --- Its hold

HELD = Hold(NOW + 60, "cooling", recovery=True)
COOLING = Reply(429, "rate_limit_error", "all are cooling", retry_after=60)


def start_with_hold(*holds: Hold | None, refuse: Reply = COOLING) -> Plan:
    """The way through account a, held so; a 429 when it is asked for more."""
    left = [make_account("a")]
    asked = iter(holds)

    def choose(tried: set[str]) -> Choice:
        return Choice(next((a for a in left if a.key not in tried), None), "fill-first", {})

    return failover_plan(
        choose, lambda errors: refuse, jitter=0.5, repeatable=True, hold=lambda: next(asked)
    )


def test_a_request_that_none_can_serve_is_held_and_tries_all_anew() -> None:
    plan = start_with_hold(HELD, HELD, None)
    assert isinstance(next(plan), Try)
    for _ in range(2):
        assert plan.send(LIMITED) == HELD
        assert isinstance(next(plan), Try)
    assert plan.send(LIMITED) == COOLING
    assert next(plan, None) is None


def test_a_success_after_it_ends_the_plan() -> None:
    plan = start_with_hold(HELD)
    next(plan)
    plan.send(LIMITED)
    next(plan)
    assert next(plan, None) is None


@pytest.mark.parametrize("status", [400, 401, 503])
def test_only_a_429_is_held(status: int) -> None:
    reply = Reply(status, "api_error", "no account serves this request")
    plan = start_with_hold(HELD, refuse=reply)
    next(plan)
    assert plan.send(LIMITED) == reply


# --- Its way


@pytest.mark.parametrize(
    ("labels", "outcomes", "expected"),
    [
        ("ab", [OK], "a"),
        ("ab", [BUSY, OK], "a b"),
        ("ab", [LIMITED, OK], "a b"),
        ("ab", [REFUSED, OK], "a b"),
        ("abc", [CUT, HOLLOW, OK], "a b c"),
        ("a", [BUSY, OK], "a pause a"),
        ("ab", [BUSY, BUSY, OK], "a b pause a"),
        ("ab", [BUSY, BUSY, BUSY, OK], "a b pause a b"),
        ("ab", [BUSY, BUSY, BUSY, BUSY], "a b pause a b deliver"),
        ("a", [UNREACHED, OK], "a pause a"),
        ("a", [UNREACHED, UNREACHED], "a pause a 502"),
        ("ab", [LIMITED, BUSY, OK], "a b pause b"),
        ("ab", [LIMITED, BUSY, BUSY], "a b pause b deliver"),
        ("ab", [BUSY, LIMITED, BUSY], "a b pause a deliver"),
        ("ab", [LIMITED, LIMITED], "a b deliver"),
        ("ab", [REFUSED, LIMITED], "a b deliver"),
        ("ab", [BUSY, BUSY, LIMITED, OK], "a b pause a b"),
        ("a", [make_failure(429, "x-should-retry: true"), OK], "a pause a"),
        ("ab", [FAULT], "a deliver"),
        ("ab", [BUSY, FAULT], "a b deliver"),
        ("ab", [make_failure(404)], "a deliver"),
        ("ab", [LATE], "a 504"),
        ("ab", [BUSY, LATE], "a b deliver"),
        ("ab", [CUT, CUT, LATE], "a b pause a 504"),
    ],
    ids=["well", "busy", "limited", "refused", "third-account", "alone-and-busy", "second-round",
         "its-second-account", "twice-round", "alone-and-refused", "never-reached", "not-the-limited",
         "only-the-busy", "whichever-it-was", "all-limited", "limited-and-refused",
         "limited-in-the-second", "short-of-capacity", "own-fault", "own-fault-later", "not-found",
         "out-of-time", "out-of-time-later", "out-of-time-after-all"],
)  # fmt: skip
def test_its_way(labels: str, outcomes: list[Failure | None], expected: str) -> None:
    assert told(walk(start(labels), outcomes)) == expected


def test_after_a_success_there_is_nothing_to_do() -> None:
    plan = start("ab")
    next(plan)
    assert next(plan, "over") == "over"


def test_each_attempt_says_why_its_account_was_taken() -> None:
    steps = walk(start("ab"), [BUSY, OK])
    assert [step.why for step in steps if isinstance(step, Try)] == [
        "took anthropic:a by fill-first",
        "took anthropic:b by fill-first",
    ]


@pytest.mark.parametrize(("jitter", "seconds"), [(0.0, 0.5), (0.5, 1.25), (0.999, 1.9985)])
def test_the_pause_is_jittered(jitter: float, seconds: float) -> None:
    """Many requests that failed together do not come back together."""
    steps = walk(start("a", jitter=jitter), [BUSY, OK])
    assert steps[1] == Pause(seconds)


@given(st.floats(0, 1, exclude_max=True))
def test_the_pause_is_never_longer_than_two_seconds(jitter: float) -> None:
    pause = walk(start("a", jitter=jitter), [BUSY, OK])[1]
    assert isinstance(pause, Pause)
    assert MAX_PAUSE / 4 <= pause.seconds < MAX_PAUSE == 2


def test_the_second_round_asks_who_serves_by_then() -> None:
    """One that was skipped at first may have come back."""
    here = [make_account("a")]

    def choose(tried: set[str]) -> Choice:
        return Choice(next((a for a in here if a.key not in tried), None), "", {})

    plan = failover_plan(choose, lambda errors: None, jitter=0, repeatable=True)
    next(plan)
    assert isinstance(plan.send(BUSY), Pause)
    here[:] = [make_account("b")]
    assert told([next(plan)]) == "b"


OTHER_HOST = {"base_url": "https://other.example"}
OTHER_PATH = {"base_url": "https://api.anthropic.com:443/v1"}
OTHER_PROXY = {"proxy_url": "proxy.example:8"}


@pytest.mark.parametrize(
    ("of", "outcomes", "expected"),
    [
        ({}, [NO_TRUST], "a 502"),
        ({"c": OTHER_HOST}, [NO_TRUST, OK], "a c"),
        ({"b": OTHER_PATH, "c": OTHER_PROXY}, [NO_TRUST, OK], "a c"),
        ({"b": OTHER_HOST, "c": OTHER_HOST}, [NO_TRUST, NO_TRUST], "a b 502"),
        ({"a": OTHER_HOST}, [NO_TRUST, BUSY, BUSY, OK], "a b c pause b"),
        ({"b": OTHER_HOST}, [UNREACHED, NO_TRUST, UNREACHED, OK], "a b c pause a"),
        ({}, [BUSY, NO_TRUST], "a b pause deliver"),
    ],
    ids=["one-host", "another-host", "another-proxy", "two-hosts", "the-others-twice", "not-again",
         "who-was-tried-before"],
)  # fmt: skip
def test_a_way_that_no_retry_makes_passable_is_tried_once(
    of: dict[str, dict[str, str]], outcomes: list[Failure | None], expected: str
) -> None:
    """Untrusted certificates, refused logins at HTTP proxies: whichever account, it is the same there."""
    assert told(walk(start("abc", **of), outcomes)) == expected


# --- Mending


@pytest.mark.parametrize(
    ("labels", "outcomes", "expected"),
    [
        ("ab", [SIGNATURE, OK], "a a*"),
        ("ab", [SIGNATURE, SIGNATURE], "a a* deliver"),
        ("ab", [SIGNATURE, FAULT], "a a* deliver"),
        ("ab", [SIGNATURE, BUSY, OK], "a a* b*"),
        ("ab", [SIGNATURE, LIMITED, OK], "a a* b*"),
        ("ab", [BUSY, SIGNATURE, OK], "a b b*"),
        ("a", [SIGNATURE, BUSY, OK], "a a* pause a*"),
        ("a", [SIGNATURE, BUSY, SIGNATURE], "a a* pause a* deliver"),
        ("ab", [SIGNATURE, BUSY, SIGNATURE], "a a* b* deliver"),
    ],
    ids=["once", "in-vain", "another-fault", "next-account", "next-after-limit", "second-account",
         "second-round", "not-again", "not-on-the-next"],
)  # fmt: skip
def test_refused_thinking(labels: str, outcomes: list[Failure | None], expected: str) -> None:
    """Once more without it on the same account, and never again with it."""
    assert told(walk(start(labels), outcomes)) == expected


def test_the_attempt_without_thinking_says_so() -> None:
    step = walk(start("a"), [SIGNATURE, OK])[1]
    assert isinstance(step, Try)
    assert step.why == "took anthropic:a by fill-first, without thinking blocks"


# --- A new token


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([TOKEN, OK], "a a+"),
        ([TOKEN, TOKEN, OK], "a a+ a+"),
        ([TOKEN, REFUSED, OK], "a a+ b"),
        ([TOKEN, NO_LOGIN, OK], "a a+ b"),
        ([TOKEN, LIMITED, OK], "a a+ b"),
        ([TOKEN, FAULT], "a a+ deliver"),
        ([TOKEN, BUSY, OK], "a a+ b"),
        ([TOKEN, BUSY, BUSY, OK], "a a+ b pause a"),
        ([TOKEN, SIGNATURE, OK], "a a+ a*"),
        ([SIGNATURE, TOKEN, OK], "a a* a*+"),
        ([SIGNATURE, TOKEN, SIGNATURE], "a a* a*+ deliver"),
        ([NO_LOGIN, OK], "a b"),
    ],
    ids=["once", "as-long-as-it-can-be-had", "in-vain", "not-to-be-had", "limited", "own-fault",
         "busy", "not-for-the-next", "without-thinking", "after-without-thinking", "without-thinking-once", "not-sent"],
)  # fmt: skip
def test_a_refused_token(outcomes: list[Failure | None], expected: str) -> None:
    """Once more on the same account with a new one."""
    assert told(walk(start("ab"), outcomes)) == expected


# --- What must not be sent twice


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([UNREACHED, OK], "a b"),
        ([LIMITED, OK], "a b"),
        ([BUSY, OK], "a b"),
        ([UNREACHED, UNREACHED, OK], "a b pause a"),
        ([CUT], "a 502"),
        ([SLOW], "a 504"),
        ([HOLLOW], "a 502"),
        ([UNREACHED, CUT], "a b 502"),
        ([LIMITED, CUT], "a b deliver"),
    ],
    ids=["unreached", "limited", "busy", "unreached-twice", "cut", "timeout", "empty",
         "unreached-then-cut", "limited-then-cut"],
)  # fmt: skip
def test_what_upstream_may_have_acted_on(outcomes: list[Failure | None], expected: str) -> None:
    assert told(walk(start("ab", repeatable=False), outcomes)) == expected


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(BUSY, True), (LIMITED, True), (UNREACHED, True), (CUT, False), (SLOW, False), (SAID, False)],
    ids=["busy", "limited", "unreached", "cut", "timeout", "event"],
)
def test_what_upstream_did_not_process(failure: Failure, expected: bool) -> None:
    assert not_processed(failure) is expected


# --- Its end


def test_where_nobody_serves_our_own_answer_is_the_end() -> None:
    assert walk(start("", refuse=COOLING), []) == [COOLING]


def test_nobody_is_waited_for() -> None:
    assert told(walk(start("", refuse=COOLING), [])) == "429"


def test_when_all_are_cooling_in_the_end_it_is_said() -> None:
    assert walk(start("a", refuse=COOLING), [LIMITED])[-1] == COOLING


def test_upstreams_last_word_counts_where_somebody_still_serves() -> None:
    assert walk(start("ab"), [LIMITED, LIMITED])[-1] == Deliver()


def test_a_refusal_does_not_hide_the_requests_own_fault() -> None:
    assert walk(start("a", refuse=COOLING), [FAULT])[-1] == Deliver()


@pytest.mark.parametrize(
    ("failures", "end"),
    [
        ([BUSY], Deliver()),
        ([BUSY, CUT], Deliver()),
        ([CUT, BUSY, SLOW], Deliver()),
        ([SLOW], Reply(504, "timeout_error", "Upstream did not answer in time: no event")),
        ([LATE], Reply(504, "timeout_error", "Upstream did not answer in time: the time is up")),
        ([CUT], Reply(502, "api_error", "Upstream could not be reached: reset")),
        ([NO_TRUST], Reply(502, "api_error", "Upstream could not be reached: x", lasting=True)),
        ([SLOW, CUT], Reply(502, "api_error", "Upstream could not be reached: reset")),
        ([HOLLOW], Reply(502, "api_error", "Upstream failed: no content")),
        ([SAID], Reply(529, "overloaded_error", "Upstream failed: Overloaded")),
        ([CUT, SAID], Reply(529, "overloaded_error", "Upstream failed: Overloaded")),
        ([SAID_LIMITED], Reply(502, "api_error", "Upstream failed: slow down")),
        (
            [Failure(FailureStage.EVENT, None, "timeout_error", "x")],
            Reply(504, "timeout_error", "Upstream failed: x"),
        ),
        (
            [Failure(FailureStage.EVENT, None, "api_error", "x")],
            Reply(502, "api_error", "Upstream failed: x"),
        ),
    ],
    ids=["answer", "earlier-answer", "answer-between", "timeout", "total-timeout", "network", "untrusted",
         "last-of-two", "empty", "overloaded", "overloaded-last", "unusual", "timeout-in-stream",
         "api-error"],
)  # fmt: skip
def test_ending(failures: list[Failure], end: Step) -> None:
    assert final_step(failures) == end


# --- Whatever happens

anything = st.sampled_from(
    [OK, LIMITED, REFUSED, BUSY, BUSY, FAULT, SIGNATURE, UNREACHED, UNREACHED, CUT, CUT, SLOW, SLOW,
     NO_LOGIN, LATE, HOLLOW, SAID, SAID_LIMITED]
)  # fmt: skip


@given(st.integers(1, 4), st.booleans(), st.data())
def test_it_always_ends_and_never_too_late(
    count: int, repeatable: bool, data: st.DataObject
) -> None:
    """Each account at most once a round, and one attempt without thinking."""
    plan = start("abcd"[:count], repeatable=repeatable)
    step, failures = next(plan), list[tuple[str, Failure]]()
    pauses = without_thinking = 0
    tries = Counter[str]()
    while True:
        if isinstance(step, Try):
            label = step.account.label
            spent = [f for at, f in failures if at == label and not classify(f).transient]
            assert not spent or classify(spent[-1]).action is Action.WITHOUT_THINKING
            tries[label] += 1
            failure = data.draw(anything)
            if failure is OK:
                return
            without_thinking += classify(failure).action is Action.WITHOUT_THINKING
            failures.append((label, failure))
            step = plan.send(failure)
        elif isinstance(step, Pause):
            pauses += 1
            assert any(classify(f).transient for _, f in failures)
            step = next(plan)
        else:
            break
        last = failures[-1][1]
        if isinstance(step, Try | Pause):
            assert classify(last).action is not Action.RETURN
            assert repeatable or last.stage is FailureStage.STATUS or not last.sent
    assert pauses <= 1
    assert without_thinking <= 2
    assert all(times <= 2 + (without_thinking > 0) for times in tries.values())
    assert isinstance(step, Deliver) == any(f.stage is FailureStage.STATUS for _, f in failures)
    assert next(plan, None) is None


@given(st.lists(anything, max_size=20), st.integers(1, 3))
def test_with_a_real_pool_nobody_is_asked_while_cooling(
    outcomes: list[Failure | None], count: int
) -> None:
    """And our own answer is the end only where nobody serves."""
    clock, pool = FakeClock(), Pool([make_account(label) for label in "abc"[:count]])
    plan = failover_plan(
        lambda tried: pool.choose(CLAUDE_CODE, clock.now(), tried),
        lambda errors: all_ineligible(pool, CLAUDE_CODE, clock.now(), errors=errors),
        jitter=0.5,
        repeatable=True,
    )
    step = next(plan)
    for outcome in outcomes:
        clock.advance(0.1)
        if isinstance(step, Pause):
            clock.advance(step.seconds)
            step = next(plan)
        if not isinstance(step, Try):
            break
        key, sent_at = step.account.key, clock.now()
        assert key not in pool.ineligible(CLAUDE_CODE, sent_at)
        pool.began(key, CLAUDE_CODE, sent_at)
        pool.ended(key, sent_at=sent_at)
        if outcome is OK:
            return
        pool.failed(key, CLAUDE_CODE, outcome, sent_at=sent_at, now=sent_at)
        step = plan.send(outcome)
        if isinstance(step, Reply) and step.status == 429:
            assert len(pool.ineligible(CLAUDE_CODE, clock.now())) == count


# --- Other providers, behind the accounts


def start_with_fallbacks(labels: str, others: str, refuse: Reply | None = None) -> Plan:
    """Accounts in small letters, models of other providers in capitals."""

    def chooser(names: str) -> Callable[[set[str]], Choice]:
        accounts = [make_account(name) for name in names]

        def choose(tried: set[str]) -> Choice:
            left = [account for account in accounts if account.key not in tried]
            return Choice(left[0] if left else None, "", {})

        return choose

    return failover_plan(
        chooser(labels),
        lambda errors: refuse,
        jitter=0.5,
        repeatable=True,
        choose_fallback=chooser(others),
    )


@pytest.mark.parametrize(
    ("labels", "outcomes", "expected"),
    [
        ("a", [OK], "a"),
        ("a", [LIMITED, OK], "a X"),
        ("", [OK], "X"),
        ("a", [LIMITED, LIMITED, OK], "a X Y"),
        ("", [FAULT, OK], "X Y"),
        ("a", [BUSY, OK], "a pause a"),
        ("a", [BUSY, BUSY, OK], "a pause a X"),
        ("a", [FAULT], "a deliver"),
        ("a", [LIMITED, BUSY, LIMITED, OK], "a X Y pause X"),
        ("a", [LIMITED, BUSY, FAULT, BUSY], "a X Y pause X 529"),
        ("a", [LIMITED, BUSY, BUSY, LIMITED, BUSY], "a X Y pause X Y 529"),
        ("a", [BUSY, BUSY, REFUSED, REFUSED], "a pause a X Y 529"),
        ("a", [LIMITED, BUSY, TOO_LONG, BUSY], "a X Y pause X 529"),
        ("a", [LIMITED, BUSY, TOO_LONG, LIMITED], "a X Y pause X 400"),
        ("a", [LIMITED, TOO_LONG, REFUSED], "a X Y 400"),
        ("a", [LIMITED, FAULT, TOO_LARGE], "a X Y 413"),
        ("a", [LIMITED, FAULT, FAULT], "a X Y deliver"),
        ("", [CUT, OK], "X X"),
        ("", [CUT, CUT, CUT, CUT, CUT], "X X Y pause X Y 529"),
        ("", [DOWN, DOWN], "X Y 502"),
        ("", [LATE], "X 504"),
        ("", [BUSY, LATE], "X Y deliver"),
    ],
    ids=["not-needed", "limited", "no-account", "second", "another-may-take-it",
         "second-round-first", "after-it", "own-fault", "their-second-round", "trouble-that-may-pass",
         "of-one", "of-an-account", "may-pass-before-too-long", "the-passing-one-is-limited", "too-long",
         "too-large", "last-word", "the-translator-ended", "never-reached", "no-translator",
         "out-of-time", "out-of-time-later"],
)  # fmt: skip
def test_its_way_to_other_providers(
    labels: str, outcomes: list[Failure | None], expected: str
) -> None:
    assert told(walk(start_with_fallbacks(labels, "XY"), outcomes)) == expected


COOLS_LONG = Reply(429, "rate_limit_error", "All accounts are cooling", 600)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([LIMITED, LIMITED], COOLS_LONG),
        ([REFUSED, FAULT], COOLS_LONG),
        ([FAULT, DOWN], COOLS_LONG),
        ([BUSY, FAULT, BUSY], Reply(529, "overloaded_error",
            "Nobody can answer at the moment; ask again. X: Overloaded; Y: max_tokens: too many")),
        ([TOO_LONG, FAULT], Reply(400, "invalid_request_error", "prompt is too long for x")),
    ],
    ids=["limited", "refused", "no-translator", "hiccup", "too-long"],
)  # fmt: skip
def test_the_last_word_where_accounts_cool_for_long(
    outcomes: list[Failure | None], expected: Reply
) -> None:
    """Claude Code repeats a 529, shortens what is too long, and gives up at a 429 with more than a minute."""
    assert walk(start_with_fallbacks("", "XY", COOLS_LONG), outcomes)[-1] == expected


def test_what_they_said_is_told_in_our_own_answer() -> None:
    heard: list[Any] = []
    plan = failover_plan(
        lambda tried: Choice(None, "", {}),
        lambda errors: heard.append(dict(errors)),
        jitter=0,
        repeatable=True,
        choose_fallback=lambda tried: Choice(None if tried else make_account("x"), "", {}),
    )
    walk(plan, [make_failure(400, message="no such tool")])
    assert heard == [{"anthropic:x": "no such tool"}]


# --- Waiting for an account


def test_it_waits_where_the_choice_is_to_wait_and_chooses_again() -> None:
    account = make_account("a")
    choices = [
        Choice(None, "fill-first", {}, wait_until=9.0, waits_for="its turn on anthropic:b"),
        Choice(account, "fill-first", {}),
    ]
    plan = failover_plan(lambda tried: choices.pop(0), lambda _: None, jitter=0, repeatable=True)
    assert next(plan) == Hold(9.0, "waits for its turn on anthropic:b")
    assert next(plan) == Try(account, "took anthropic:a by fill-first")


def test_an_account_that_is_not_free_any_more_is_chosen_again_later() -> None:
    """It was not tried: it may still come, as first or after another one."""
    plan = start("ab")
    tries = [next(plan), plan.send(Reconsider()), plan.send(LIMITED)]
    assert told(tries) == "a a b"
