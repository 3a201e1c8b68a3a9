from __future__ import annotations

import logging
from urllib.parse import quote

import pytest

from neurolink_mitm.addons.console import Console
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.providers.translator import NOTE_HEADER
from tests.addons.flows import answer, make_flow, record
from tests.fakes import make_account, make_attempt, make_other, make_runtime

SERVED = make_attempt(make_account("home"), status=200)
FAILED = make_attempt(
    make_account("work"), status=429, failure=Failure.of_status(429, b""), cooldown=1.0
)


@pytest.fixture
def console(caplog: pytest.LogCaptureFixture) -> Console:
    caplog.set_level(logging.INFO, "neurolink.proxy")
    return Console(make_runtime())


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.levelname for record in caplog.records} <= {"INFO"}
    return [r.getMessage() for r in caplog.records if r.name == "neurolink.proxy"]


def test_a_request(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    console.request(make_flow(path="/v1/messages?beta=true", model="claude-x", stream=True))
    assert lines(caplog) == ["[proxy] POST /v1/messages -> model=claude-x stream tools=0"]


def test_an_attempt(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    console.attempt(make_flow(attempts=[SERVED], ready=True))
    assert lines(caplog) == ["[proxy] -> account=home (api_key)"]


def test_a_failed_attempt(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    console.attempt_failed(make_flow(attempts=[FAILED]))
    assert lines(caplog) == ["[proxy] <- 429 account=work backoff-level=0 cooldown=1s"]


def test_an_answer(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    flow = make_flow(attempts=[FAILED, SERVED])
    answer(flow)
    console.responseheaders(flow)
    assert lines(caplog) == ["[proxy] <- 200 account=home"]


def test_an_answer_of_our_own(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    flow = make_flow()
    answer(flow, 429)
    console.responseheaders(flow)
    assert lines(caplog) == ["[proxy] <- 429 by neurolink"]


def test_an_attempt_that_is_not_sent(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    console.attempt(make_flow(attempts=[SERVED], ready=False))
    assert lines(caplog) == []


def test_an_attempt_with_the_callers_own_credential(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    console.attempt(make_flow(attempts=[make_attempt(None)], ready=True))
    assert lines(caplog) == []


def test_probes_and_status_pages_make_no_noise(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    flow = make_flow("GET", "/health")
    answer(flow)
    console.request(flow)
    console.responseheaders(flow)
    assert lines(caplog) == []


def test_while_nobody_listens_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "neurolink.proxy")
    flow, console = make_flow(attempts=[FAILED], ready=True), Console(make_runtime())
    answer(flow)
    for hook in (console.request, console.attempt, console.attempt_failed, console.responseheaders):
        hook(flow)
    assert lines(caplog) == []


def test_lines_go_past_the_log_where_the_runtime_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "neurolink.proxy")
    said: list[str] = []
    flow = make_flow(attempts=[SERVED], ready=True)
    answer(flow)
    console = Console(make_runtime(say=said.append))
    for hook in (console.attempt, console.responseheaders):
        hook(flow)
    assert said == [
        "[proxy] -> account=home (api_key)",
        "[proxy] beta headers: none",
        "[proxy] <- 200 account=home",
    ]
    assert lines(caplog) == []


def test_a_flow_without_record_makes_no_noise(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    flow = make_flow(opened=False)
    answer(flow)
    for hook in (console.request, console.attempt, console.attempt_failed, console.responseheaders):
        hook(flow)
    assert lines(caplog) == []


def test_what_a_client_sends_is_not_a_format(
    console: Console, caplog: pytest.LogCaptureFixture
) -> None:
    console.request(make_flow(path="/v1/%s%d"))
    assert lines(caplog) == ["[proxy] POST /v1/%s%d"]


@pytest.mark.parametrize(("level", "told"), [(logging.DEBUG, True), (logging.INFO, False)])
def test_betas_are_told_at_debug(
    console: Console, caplog: pytest.LogCaptureFixture, level: int, told: bool
) -> None:
    caplog.set_level(level, "neurolink.proxy")
    flow = make_flow(attempts=[SERVED], ready=True)
    flow.request.headers["anthropic-beta"] = "oauth-2025-04-20"
    console.attempt(flow)
    said = [record.getMessage() for record in caplog.records]
    assert ("[proxy] beta headers: oauth-2025-04-20" in said) is told


NOTE = "200 tools are more than the 128 that this model takes; left out: größe (72)"


@pytest.mark.parametrize(("account", "said"), [(make_other(), 1), (make_account(), 0)])
def test_what_another_provider_was_not_told_is_said_once_and_logged_each_time(
    caplog: pytest.LogCaptureFixture, account: Account, said: int
) -> None:
    caplog.set_level(logging.WARNING, "neurolink.proxy")
    console = Console(make_runtime())
    for _ in range(2):
        flow = make_flow(attempts=[make_attempt(account, status=200)])
        answer(flow).headers[NOTE_HEADER] = quote(NOTE)
        console.responseheaders(flow)
        assert (NOTE in record(flow).why) is bool(said)
    assert [r.getMessage() for r in caplog.records] == [
        f"[proxy] provider=openai model=gpt-x: {NOTE}"
    ] * said
