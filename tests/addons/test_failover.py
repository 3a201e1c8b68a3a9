from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from neurolink_mitm.addons.failover import Failover
from neurolink_mitm.core.exchange import Deliver, Kind, Pause, Plan, Reply, Step, Try
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.response.reader import OpaqueReader, WholeReader
from neurolink_mitm.dataplane.hooks import AttemptFailedHook, saved_response
from neurolink_mitm.ports import Runtime
from tests.addons.flows import answer, document, make_flow, record, refusal
from tests.fakes import (
    NOW,
    FakeClock,
    make_account,
    make_attempt,
    make_failure,
    make_other,
    make_runtime,
)

A, B = make_account("a"), make_account("b")
ANY = Requirements(model="claude-x")
LIMITED = make_failure(429, "retry-after: 10\nrequest-id: req_up", error_type="rate_limit_error")
CUT = Failure.of_network("cut", "reset")
USED = "anthropic-ratelimit-unified-5h-utilization: 0.25"


def plan(*left: Step) -> Plan:
    """One that goes on so after an attempt that failed."""

    def steps() -> Plan:
        yield Try(A, "the first")
        for step in left:  # noqa: UP028 - the iterator of a tuple takes no `send`
            yield step

    started = steps()
    next(started)
    return started


def began(runtime: Runtime, *steps: Step, **exchange: Any) -> http.HTTPFlow:
    """An attempt on the first account is under way."""
    runtime.pool.began(A.key, ANY, NOW)
    known = {
        "attempts": [make_attempt(A)],
        "plan": plan(*steps or [Deliver()]),
        "model": "claude-x",
    }
    return make_flow(**known | exchange)


def fail(
    failure: Failure,
    *steps: Step,
    runtime: Runtime | None = None,
    body: bytes = b"theirs",
    **exchange: Any,
) -> http.HTTPFlow:
    """It fails with this; the plan goes on with `steps`."""
    runtime = runtime or make_runtime(A, B)
    flow = began(runtime, *steps, failure=failure, **exchange)
    if failure.stage is FailureStage.STATUS:
        answer(flow, failure.status or 0, body)
    Failover(runtime).attempt_failed(flow)
    return flow


def fails_again(flow: http.HTTPFlow, failure: Failure) -> None:
    """A second attempt fails, on the other account."""
    exchange = record(flow)
    exchange.attempt = make_attempt(B, number=2, failure=failure)
    exchange.attempts.append(exchange.attempt)


# --- A failed attempt


def test_it_is_booked_on_the_attempt() -> None:
    clock = FakeClock()
    clock.advance(3)
    runtime = make_runtime(A, B, clock=clock)
    [attempt] = record(fail(LIMITED, runtime=runtime)).attempts
    assert (attempt.status, attempt.failure, attempt.ended_at) == (429, LIMITED, NOW + 3)
    assert (attempt.cooldown, attempt.backoff_level, attempt.retry_after) == (10, 0, 10)
    assert attempt.upstream_request_id == "req_up"


def test_and_on_the_account() -> None:
    runtime = make_runtime(A, B)
    fail(LIMITED, runtime=runtime)
    state = runtime.pool.account_state(A.key)
    assert list(runtime.pool.ineligible(ANY, NOW)) == [A.key]
    assert (state.in_flight, state.tally.errors) == (0, 1)


def test_what_it_says_of_limits_is_seen() -> None:
    runtime = make_runtime(A, B)
    [attempt] = record(fail(make_failure(529, USED), runtime=runtime)).attempts
    assert (attempt.utilization_5h, attempt.utilization_7d) == (0.25, None)
    assert list(runtime.pool.quotas()) == [A.key]


def test_a_failure_without_account_is_booked_on_nobody() -> None:
    runtime = make_runtime(A)
    flow = make_flow("GET", "/api/x", attempts=[make_attempt(None)], failure=CUT)
    Failover(runtime).attempt_failed(flow)
    assert record(flow).attempts[0].failure == CUT
    assert runtime.pool.account_state(A.key).tally.errors == 0


@pytest.mark.parametrize(
    ("refreshable", "refreshes", "expected"),
    [(True, 0, True), (True, 4, True), (True, 5, False), (False, 0, False)],
    ids=["first", "fifth", "sixth", "no-refresh-token"],
)
def test_a_new_token_is_had_five_times_a_request(
    refreshable: bool, refreshes: int, expected: bool
) -> None:
    account = make_account("a", refreshable=refreshable)
    flow = make_flow(
        attempts=[make_attempt(account)], plan=plan(Deliver()), refreshes=refreshes,
        failure=make_failure(401),
    )  # fmt: skip
    answer(flow, 401)
    Failover(make_runtime(account)).attempt_failed(flow)
    failure = record(flow).attempts[0].failure
    assert failure is not None
    assert failure.refreshable is expected


BESIDE: dict[str, Any] = {"kind": Kind.API, "path": "/v1/mcp_servers"}


def refused_there(account: Account, addon: Failover, step: Try, refreshes: int = 0) -> Failure:
    """A 401 at an endpoint beside messages, as the plan is told of it."""
    flow = make_flow(
        attempts=[make_attempt(account)], plan=plan(Deliver()), step=step, refreshes=refreshes,
        failure=make_failure(401), **BESIDE,
    )  # fmt: skip
    answer(flow, 401)
    addon.attempt_failed(flow)
    failure = record(flow).attempts[0].failure
    assert failure is not None
    return failure


def test_beside_messages_a_new_token_is_had_once_a_request() -> None:
    account = make_account("a", refreshable=True)
    addon = Failover(make_runtime(account))
    assert refused_there(account, addon, Try(account, "first")).refreshable
    assert not refused_there(account, addon, Try(account, "other"), refreshes=1).refreshable


def test_where_it_was_no_help_the_token_is_left_as_it_is() -> None:
    """Claude Code asks for its MCP servers again and again; a login without that right is refused each time."""
    account = make_account("a", refreshable=True)
    addon = Failover(make_runtime(account))
    refused_there(account, addon, Try(account, "again", refresh=True), refreshes=1)
    assert not refused_there(account, addon, Try(account, "first")).refreshable
    renewed = replace(account, secret=Secret("sk-ant-oat-test-new"))
    assert refused_there(renewed, addon, Try(renewed, "first")).refreshable


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("path", ["/v1/files", "/v1/sessions/x", "/v1/mcp_servers"])
def test_a_refusal_beside_messages_begins_no_cooldown(status: int, path: str) -> None:
    runtime = make_runtime(A, B)
    fail(make_failure(status), Try(B, "next"), runtime=runtime, kind=Kind.API, path=path)
    assert runtime.pool.cooldowns() == {}


@pytest.mark.parametrize(("ends", "cools_down"), [(NOW + 60, False), (NOW - 60, True)])
def test_a_token_that_can_not_be_renewed_counts_only_once_it_has_ended(
    ends: float, cools_down: bool
) -> None:
    account = make_account("a", refreshable=True, expires_at=ends)
    runtime = make_runtime(account)
    failure = make_failure(None, stage=FailureStage.LOGIN)
    fail(failure, Deliver(), runtime=runtime, attempts=[make_attempt(account)], **BESIDE)
    assert bool(runtime.pool.cooldowns()) is cools_down


@pytest.mark.parametrize("step", [Try(B, "next"), Pause(1.0)], ids=["try", "pause"])
def test_the_next_step_is_the_plans(step: Step) -> None:
    flow = fail(LIMITED, step)
    assert record(flow).step == step
    assert flow.response is None


def test_upstreams_own_answer_can_be_the_end() -> None:
    flow = fail(make_failure(400), Deliver(), body=b"max_tokens")
    assert flow.response is not None
    assert (flow.response.status_code, flow.response.content) == (400, b"max_tokens")


def test_the_latest_of_them() -> None:
    runtime = make_runtime(A, B)
    flow = fail(make_failure(529), Try(B, "next"), Deliver(), runtime=runtime)
    fails_again(flow, make_failure(503))
    answer(flow, 503, b"the last")
    Failover(runtime).attempt_failed(flow)
    assert flow.response is not None
    assert flow.response.content == b"the last"


def test_also_where_the_last_attempt_had_none() -> None:
    runtime = make_runtime(A, B)
    flow = fail(make_failure(529), Try(B, "next"), Deliver(), runtime=runtime, body=b"Overloaded")
    fails_again(flow, CUT)
    Failover(runtime).attempt_failed(flow)
    assert flow.response is not None
    assert flow.response.content == b"Overloaded"


def test_our_own_answer_can_be_the_end() -> None:
    flow = fail(LIMITED, Reply(429, "rate_limit_error", "all cooling", 7))
    assert refusal(flow) == (429, "rate_limit_error")
    assert flow.response is not None
    assert flow.response.headers["retry-after"] == "7"
    assert document(flow)["request_id"] == record(flow).request_id


@pytest.mark.parametrize(
    ("failure", "status"), [(CUT, 502), (make_failure(None, stage=FailureStage.TIMEOUT), 504)]
)
def test_without_a_plan_it_ends(failure: Failure, status: int) -> None:
    """A request for another path: it goes nowhere else."""
    flow = make_flow("GET", "/api/x", attempts=[make_attempt(None)], failure=failure)
    Failover(make_runtime()).attempt_failed(flow)
    assert refusal(flow)[0] == status


@pytest.mark.parametrize(
    "exchange",
    [{"attempts": [make_attempt(A)]}, {}],
    ids=["no-failure", "no-attempt"],
)
def test_where_nothing_failed_nothing_happens(exchange: dict[str, Any]) -> None:
    flow = make_flow(**exchange)
    Failover(make_runtime(A)).attempt_failed(flow)
    assert (record(flow).step, flow.response) == (None, None)


async def test_the_hook_is_heard() -> None:
    runtime = make_runtime(A, B)
    flow = began(runtime, Try(B, "next"), failure=CUT)
    with taddons.context(Failover(runtime)) as context:
        await context.master.addons.trigger_event(AttemptFailedHook(flow))
    assert record(flow).step == Try(B, "next")


# --- The answer that the client gets


def head(
    status: int = 200, headers: str = "", runtime: Runtime | None = None, **exchange: Any
) -> http.HTTPFlow:
    runtime = runtime or make_runtime(A, B)
    flow = began(runtime, **{"reader": OpaqueReader(), **exchange})
    answer(flow, status).headers.fields += make_failure(status, headers).headers
    Failover(runtime).responseheaders(flow)
    return flow


def test_it_is_noted_on_the_attempt() -> None:
    [attempt] = record(head(200, USED)).attempts
    assert attempt.status == 200
    assert (attempt.utilization_5h, attempt.utilization_7d) == (0.25, None)


def cooled(clock: FakeClock | None = None) -> Runtime:
    """The first account was limited a minute ago, and may be tried again."""
    runtime = make_runtime(A, B, clock=clock or FakeClock())
    runtime.pool.failed(A.key, ANY, LIMITED, sent_at=NOW - 60, now=NOW - 60)
    return runtime


def test_a_good_one_clears_the_account() -> None:
    runtime = cooled()
    head(200, runtime=runtime)
    assert runtime.pool.cooldowns() == {}
    assert runtime.pool.account_state(A.key).tally.success == 1


@pytest.mark.parametrize("status", [304, 404, 413])
def test_another_one_proves_nothing(status: int) -> None:
    runtime = cooled()
    head(status, runtime=runtime)
    assert list(runtime.pool.cooldowns()) == [A.key]
    assert runtime.pool.account_state(A.key).tally.success == 0


@pytest.mark.parametrize("kind", [Kind.MESSAGES, Kind.COUNT_TOKENS])
def test_counting_tokens_proves_nothing_of_another_provider(kind: Kind) -> None:
    """The translator counts them by itself."""
    other = make_other()
    runtime = make_runtime(pool=Pool((A,), fallbacks=(other,)))
    runtime.pool.failed(other.key, ANY, LIMITED, sent_at=NOW - 60, now=NOW - 60)
    head(200, runtime=runtime, attempts=[make_attempt(other)], kind=kind)
    assert (other.key in runtime.pool.cooldowns()) == (kind is Kind.COUNT_TOKENS)
    assert runtime.pool.account_state(other.key).tally.success == 1


def test_its_session_is_at_home_there() -> None:
    runtime = make_runtime(B, A)
    head(200, runtime=runtime, session_id="s")
    assert runtime.pool.choose(Requirements(model="claude-x", session="s"), NOW).account == A


@pytest.mark.parametrize(
    "exchange",
    [
        {"reader": WholeReader(200, may_be_empty=False)},
        {"attempts": []},
        {"attempts": [make_attempt(A, failure=CUT)]},
    ],
    ids=["not-released", "answered-here", "failed"],
)
def test_one_that_is_not_upstreams_is_not_noted(exchange: dict[str, Any]) -> None:
    runtime = make_runtime(A, B)
    head(200, USED, runtime, **exchange)
    assert runtime.pool.account_state(A.key).tally.success == 0
    assert runtime.pool.quotas() == {}


def test_one_without_account_is_noted_on_the_attempt_only() -> None:
    flow = head(200, attempts=[make_attempt(None)])
    assert record(flow).attempts[0].status == 200


# --- The end


@pytest.mark.parametrize("hook", ["response", "error"])
def test_at_the_end_the_request_is_no_longer_in_flight(hook: str) -> None:
    runtime = make_runtime(A)
    flow = began(runtime)
    getattr(Failover(runtime), hook)(flow)
    assert runtime.pool.account_state(A.key).in_flight == 0


@pytest.mark.parametrize("hook", ["response", "error"])
def test_a_failed_attempt_is_not_ended_twice(hook: str) -> None:
    runtime = make_runtime(A)
    runtime.pool.began(A.key, ANY, NOW)
    flow = fail(LIMITED, runtime=runtime)
    getattr(Failover(runtime), hook)(flow)
    assert runtime.pool.account_state(A.key).in_flight == 1


@pytest.mark.parametrize("hook", ["response", "error"])
def test_nothing_is_kept_with_the_flow(hook: str) -> None:
    """mitmweb keeps flows for long."""
    runtime = make_runtime(A, B)
    flow = fail(make_failure(529), Try(B, "next"), runtime=runtime)
    assert saved_response(flow)
    getattr(Failover(runtime), hook)(flow)
    assert saved_response(flow) is None


@pytest.mark.parametrize("hook", ["attempt_failed", "responseheaders", "response", "error"])
@pytest.mark.parametrize("opened", [True, False])
def test_a_flow_without_attempts_is_left_alone(hook: str, opened: bool) -> None:
    flow = make_flow(opened=opened)
    answer(flow, 404, b"ours")
    getattr(Failover(make_runtime(A)), hook)(flow)
    assert flow.response is not None
    assert flow.response.content == b"ours"


def test_a_client_that_went_away_does_no_harm_to_the_account() -> None:
    runtime = make_runtime(A)
    Failover(runtime).error(began(runtime))
    tally = runtime.pool.account_state(A.key).tally
    assert (tally.errors, tally.success, runtime.pool.cooldowns()) == (0, 0, {})
