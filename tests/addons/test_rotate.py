from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from neurolink_mitm.addons.rotate import Rotate
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.cost.budget import ClientUse
from neurolink_mitm.core.exchange import (
    Attempt,
    Deliver,
    Hold,
    Kind,
    Pause,
    Plan,
    Reply,
    Step,
    Try,
)
from neurolink_mitm.core.failover.errors import FailureStage
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.ramp import FIRST, LONGEST_WAIT, PROBE_WAIT, STEP
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.dataplane.hooks import AttemptHook, exchange_of, save_response
from neurolink_mitm.ports import Runtime
from tests.addons.flows import document, make_flow, record, refusal
from tests.fakes import (
    NOW,
    FakeClock,
    FakeProbes,
    FakeRandomSource,
    make_account,
    make_attempt,
    make_failure,
    make_runtime,
)

A, B = make_account("a"), make_account("b")
LOGIN = make_account("login", "sk-ant-oat01-x", excluded_models=("claude-y",))
ANY = Requirements(model="claude-x")


def attempt(runtime: Runtime, flow: http.HTTPFlow | None = None, **exchange: Any) -> http.HTTPFlow:
    flow = flow or make_flow(**{"model": "claude-x", **exchange})
    if found := exchange_of(flow):
        found.begin_attempt()
    Rotate(runtime).attempt(flow)
    return flow


def steps(*left: Step) -> Plan:
    """A plan that goes on so."""
    for step in left:  # noqa: UP028 - the iterator of a tuple takes no `send`
        yield step


# --- The first attempt


def test_it_takes_an_account_and_says_why() -> None:
    exchange = record(attempt(make_runtime(A, B)))
    assert exchange.attempt == Attempt(1, A, NOW, step=Try(A, "took anthropic:a by fill-first"))


def test_it_is_booked_on_the_account() -> None:
    runtime = make_runtime(A, B)
    attempt(runtime)
    state = runtime.pool.account_state(A.key)
    assert (state.in_flight, state.tally.attempts) == (1, 1)


@pytest.mark.parametrize(
    ("exchange", "account"),
    [
        ({"user_agent": "claude-cli/2.1.0 (external, cli)"}, LOGIN),
        ({"user_agent": "python-httpx/0.28"}, A),
        ({"user_agent": "claude-cli/2.1.0", "model": "claude-y"}, A),
    ],
    ids=["claude-code", "another-client", "excluded-model"],
)
def test_who_asks_for_what_decides(exchange: dict[str, Any], account: Account) -> None:
    assert record(attempt(make_runtime(LOGIN, A), **exchange)).current_account == account


def test_a_session_goes_home() -> None:
    runtime = make_runtime(A, B)
    runtime.pool.succeeded(B.key, replace(ANY, session="s"), sent_at=NOW, now=NOW)
    assert record(attempt(runtime, session_id="s")).current_account == B


def test_a_request_for_any_other_path_takes_no_account() -> None:
    runtime = make_runtime(A)
    exchange = record(attempt(runtime, make_flow("GET", "/api/oauth/profile")))
    assert (exchange.attempt, exchange.plan) == (Attempt(1, None, NOW), None)
    assert runtime.pool.account_state(A.key).in_flight == 0


def test_a_flow_that_nobody_has_taken_up_is_left_alone() -> None:
    runtime = make_runtime(A)
    flow = attempt(runtime, make_flow(opened=False))
    assert flow.response is None


# --- Where no account serves


def test_the_client_is_told() -> None:
    runtime = make_runtime()
    flow = attempt(runtime)
    assert refusal(flow) == (401, "authentication_error")
    assert record(flow).attempts == []
    assert record(flow).why == document(flow)["error"]["message"]


def test_and_when_to_come_back() -> None:
    clock = FakeClock()
    runtime = make_runtime(A, clock=clock)
    limited = make_failure(429, "retry-after: 30")
    runtime.pool.failed(A.key, ANY, limited, sent_at=NOW, now=NOW)
    clock.advance(0.5)
    flow = attempt(runtime)
    assert refusal(flow) == (429, "rate_limit_error")
    assert flow.response is not None
    assert flow.response.headers["retry-after"] == "30"
    assert document(flow)["request_id"] == record(flow).request_id


class TickingClock(FakeClock):
    """Goes on by 0.3 s each time it is asked."""

    def now(self) -> float:
        self.advance(0.3)
        return super().now()


def test_and_an_account_that_comes_back_just_then_makes_no_difference() -> None:
    """Choosing and refusing speak of one moment: nobody could be chosen, so the client is told to wait."""
    runtime = make_runtime(A, clock=TickingClock(NOW))
    failure = make_failure(429, "retry-after: 0.5")
    runtime.pool.failed(A.key, ANY, failure, sent_at=NOW, now=NOW)
    assert refusal(attempt(runtime)) == (429, "rate_limit_error")


# --- Further attempts


def test_after_a_failure_the_plan_has_named_the_account() -> None:
    exchange: dict[str, Any] = {
        "attempts": [make_attempt(A)],
        "step": Try(B, "as planned"),
        "plan": steps(Try(A, "not asked yet")),
    }
    found = record(attempt(make_runtime(A, B), **exchange))
    assert found.attempt == Attempt(2, B, NOW, step=Try(B, "as planned"))


def test_after_a_pause_the_plan_is_asked_again() -> None:
    plan = steps(Try(B, "after the pause"))
    exchange = record(attempt(make_runtime(A, B), plan=plan, step=Pause(1.0)))
    assert exchange.step == Try(B, "after the pause")
    assert exchange.current_account == B


def test_after_a_pause_nobody_may_be_left() -> None:
    plan = steps(Reply(429, "rate_limit_error", "all cooling", 7))
    flow = attempt(make_runtime(A), plan=plan, step=Pause(1.0))
    assert refusal(flow) == (429, "rate_limit_error")


def test_upstreams_word_may_then_be_the_last() -> None:
    """Else the request would go out once more, on the last account and behind the plan's back."""
    kept = http.Response.make(529, b"Overloaded")
    flow = make_flow(plan=steps(Deliver()), step=Pause(1.0), attempts=[make_attempt(A)])
    save_response(flow, kept)
    attempt(make_runtime(A), flow)
    assert flow.response is kept
    assert record(flow).current_account is None


def test_all_accounts_are_tried_then_once_more_after_a_jittered_pause() -> None:
    runtime = make_runtime(A, B, random_source=FakeRandomSource(jitter_is=1 / 3))
    exchange = record(attempt(runtime))
    assert exchange.plan is not None
    busy = make_failure(529)
    assert [exchange.plan.send(busy), exchange.plan.send(busy)] == [
        Try(B, "took anthropic:b by fill-first"),
        Pause(1.0),
    ]


@pytest.mark.parametrize(
    ("kind", "again"), [(Kind.MESSAGES, True), (Kind.API, False)], ids=["messages", "files"]
)
def test_only_what_does_no_harm_is_sent_twice(kind: Kind, again: bool) -> None:
    exchange = record(attempt(make_runtime(A, B), kind=kind))
    assert exchange.plan is not None
    cut = make_failure(None, stage=FailureStage.NETWORK, error_type="cut")
    assert isinstance(exchange.plan.send(cut), Try) is again


def test_it_goes_out_with_the_newest_token() -> None:
    """Another request may have renewed it since the account was chosen."""
    runtime = make_runtime(A)
    runtime.pool.renew(A.key, Secret("new"), None)
    found = record(attempt(runtime, step=Try(A, "as planned"), plan=steps())).current_account
    assert found is not None
    assert found.secret == Secret("new")


async def test_the_hook_is_heard_and_an_account_that_is_gone_does_no_harm() -> None:
    """The configuration may change between a failure and the next attempt."""
    runtime = make_runtime(A, B)
    flow = make_flow(model="claude-x", step=Try(B, "as planned"), plan=steps())
    runtime.pool.update([A])
    record(flow).begin_attempt()
    with taddons.context(Rotate(runtime)) as context:
        await context.master.addons.trigger_event(AttemptHook(flow))
    assert record(flow).current_account == B


# --- A ramp, and a probe


def moved(runtime: Runtime) -> list[http.HTTPFlow]:
    """Three requests that A has refused, each with its next step; none has begun it."""
    flows = [attempt(runtime) for _ in range(3)]
    for flow in flows:
        exchange = record(flow)
        tried = exchange.attempt
        assert tried
        assert exchange.plan
        runtime.pool.ended(A.key, sent_at=tried.sent_at)
        exchange.count(tried)
        exchange.step = exchange.plan.send(make_failure(529, error_type="overloaded_error"))
    return flows


def test_what_was_chosen_before_others_began_is_chosen_again() -> None:
    """All three were to go to B; the third has to wait for its turn in the ramp."""
    runtime = make_runtime(A, B)
    flows = moved(runtime)
    assert all(record(flow).step == Try(B, "took anthropic:b by fill-first") for flow in flows)
    for flow in flows:
        attempt(runtime, flow)
    assert [record(flow).current_account for flow in flows] == [B, B, None]
    waits = "waits for its turn on anthropic:b"
    assert record(flows[2]).step == Hold(NOW + STEP, waits, tried=frozenset({A.key}))


def test_it_waits_for_a_probe_and_no_longer_than_its_patience() -> None:
    clock = FakeClock()
    runtime = make_runtime(LOGIN, A, clock=clock)
    runtime.pool.failed(LOGIN.key, ANY, make_failure(429), sent_at=NOW, now=NOW)
    clock.advance(1)
    asked = {"user_agent": "claude-cli/2.1.0 (external, cli)"}
    assert record(attempt(runtime, **asked)).current_account == LOGIN
    clock.advance(1)
    flow = attempt(runtime, **asked)
    held = record(flow).step
    assert isinstance(held, Hold)
    assert held.until == NOW + 1 + PROBE_WAIT
    assert held.why.startswith("waits for the probe of anthropic:login; skipped")
    assert (record(flow).current_account, flow.response) == (None, None)
    clock.advance(PROBE_WAIT)
    assert record(attempt(runtime, flow)).current_account == A


def recovered(*accounts: Account) -> tuple[Runtime, FakeProbes]:
    """Replicas whose account a has cooled down; nobody has the right to probe it yet."""
    clock, probes = FakeClock(), FakeProbes({A.key: NOW + 1.004})
    runtime = make_runtime(*accounts, clock=clock, probes=probes)
    probes.pool = runtime.pool
    runtime.pool.failed(A.key, ANY, make_failure(429), sent_at=NOW, now=NOW)
    clock.advance(1)
    return runtime, probes


def test_a_request_waits_a_moment_for_the_right_to_probe() -> None:
    runtime, probes = recovered(A, B)
    flow = attempt(runtime)
    waits = "waits for the right to probe anthropic:a"
    assert record(flow).step == Hold(NOW + 1.004, waits, awaits=A.key)
    assert record(attempt(runtime)).current_account == B  # the next one takes another
    probes.denied.clear()
    runtime.pool.release(A.key, ["*"])
    assert record(attempt(runtime, flow)).current_account == A


def test_it_waits_once_and_takes_another_account_then() -> None:
    runtime, _ = recovered(A, B)
    flow = attempt(runtime)
    runtime.pool.release(A.key, ["*"])
    assert record(attempt(runtime, flow)).current_account == B


@pytest.mark.parametrize(
    ("accounts", "serves"), [([A, B], B), ([A], A)], ids=["another account", "no other"]
)
def test_a_right_of_which_nothing_is_heard_in_time(
    accounts: list[Account], serves: Account
) -> None:
    """Every replica would probe: so another account serves, and only where there is none, the one that cooled."""
    runtime, probes = recovered(*accounts)
    flow = attempt(runtime)
    probes.denied.clear()
    probes.late.add(A.key)
    runtime.clock.advance(0.005)
    assert record(attempt(runtime, flow)).current_account == serves


def test_previews_ask_for_no_right() -> None:
    runtime, probes = recovered(A, B)
    runtime.pool.preview(ANY, NOW + 1)
    runtime.pool.foresee(ANY, NOW + 1)
    assert probes.asked == []


def test_who_has_used_up_its_cap_meanwhile_is_not_sent() -> None:
    """It was held, or its body took long."""
    runtime = make_runtime(A, B)
    bob = ClientKey("bob", "", 0, daily_cap_usd=1.0)
    runtime.pool.budget.day_ends_at = NOW + 60
    assert record(attempt(runtime, client_key=bob)).attempt == Attempt(
        1, A, NOW, step=Try(A, "took anthropic:a by fill-first")
    )
    runtime.pool.budget.clients["bob"] = ClientUse(today_usd=1.0)
    flow = attempt(runtime, client_key=bob)
    assert refusal(flow) == (429, "billing_error")
    assert record(flow).why.startswith("spend limit reached")
    assert runtime.pool.account_state(A.key).in_flight == 1
    again = make_flow(model="claude-x", client_key=bob, attempts=[make_attempt(B)])
    assert attempt(runtime, again).response is None, "a failover is finished"


def test_one_that_was_held_begins_a_ramp() -> None:
    """Others have been held with it, and would go at once."""
    runtime = make_runtime(A)
    flow = make_flow(model="claude-x", step=Hold(NOW, "", recovery=True))
    attempt(runtime, flow)
    assert record(flow).current_account == A
    assert runtime.pool.account_state(A.key).ramps


def test_the_same_account_again_takes_no_new_turn() -> None:
    """With a new token, say, while others have filled its ramp."""
    runtime = make_runtime(A)
    for n in range(FIRST):
        runtime.pool.began(A.key, ANY, NOW - n / 10, moved=True)
    again = Try(A, "with a new token", refresh=True)
    flow = make_flow(model="claude-x", step=again, plan=steps(), attempts=[make_attempt(A)])
    attempt(runtime, flow)
    assert record(flow).current_account == A


def test_the_waits_of_a_request_are_bounded_together() -> None:
    """Each probe ends without a result, and the next one begins."""
    clock = FakeClock()
    runtime = make_runtime(LOGIN, A, clock=clock)
    runtime.pool.failed(LOGIN.key, ANY, make_failure(429), sent_at=NOW, now=NOW)
    clock.advance(1)
    flow, waited = make_flow(model="claude-x", user_agent="claude-cli/2.1.0"), 0
    while waited < 20 and not record(flow).current_account:
        began = clock.now()
        runtime.pool.began(LOGIN.key, ANY, began)
        attempt(runtime, flow)
        clock.advance(1)
        runtime.pool.ended(LOGIN.key, sent_at=began)
        waited += 1
    assert record(flow).current_account == A
    assert LONGEST_WAIT <= waited <= LONGEST_WAIT + 1
