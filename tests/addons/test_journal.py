from __future__ import annotations

import json

import pytest
from mitmproxy import http

from neurolink_mitm.addons.journal import Journal
from neurolink_mitm.core.exchange import Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs.summary import summary
from neurolink_mitm.dataplane.hooks import exchange_of, mask_credentials
from tests.addons.flows import answer, make_flow, record
from tests.fakes import FakeCluster, ListJournal, make_account, make_attempt, make_runtime

SECRET = "sk-ant-test-secret"
FAILED = make_attempt(make_account("home"), failure=Failure.of_status(429, b""), status=429)
SERVED = make_attempt(make_account("work"), number=2, status=200)
CREDENTIALS = ["authorization", "x-api-key", "cookie", "proxy-authorization"]


def ended(flow: http.HTTPFlow) -> ListJournal:
    journal = ListJournal()
    answer(flow)
    Journal(make_runtime(journal=journal)).response(flow)
    return journal


# --- rows


def test_a_request_has_one_row() -> None:
    (row,) = ended(make_flow(outcome=Outcome.COMPLETE, status=200)).requests
    assert (row.requestId, row.outcome, row.responseStatus) == ("req_1", "complete", 200)


def test_a_row_names_the_replica() -> None:
    flow, runtime = make_flow(outcome=Outcome.COMPLETE, status=200), make_runtime()
    runtime.cluster = FakeCluster("eu-1")
    answer(flow)
    Journal(runtime).response(flow)
    assert [row.replica for row in runtime.recent.newest] == ["eu-1"]


def test_the_row_of_a_request_is_among_the_latest() -> None:
    flow, runtime = make_flow(outcome=Outcome.COMPLETE, status=200), make_runtime()
    answer(flow)
    Journal(runtime).response(flow)
    assert [row.requestId for row in runtime.recent.newest] == ["req_1"]


def test_an_attempt_that_served_has_its_row_at_the_end() -> None:
    (row,) = ended(make_flow(attempts=[FAILED, SERVED])).attempts
    assert (row.attempt, row.account, row.errorType) == (2, "work", None)


def test_an_attempt_that_failed_has_had_its_row() -> None:
    assert ended(make_flow(attempts=[FAILED])).attempts == []


def test_an_attempt_that_fails_has_its_row_at_once() -> None:
    journal = ListJournal()
    Journal(make_runtime(journal=journal)).attempt_failed(make_flow(attempts=[FAILED]))
    (row,) = journal.attempts
    assert (row.account, row.responseStatus, row.errorType) == ("home", 429, "http_429")


def test_a_failure_without_attempt_has_no_row() -> None:
    journal = ListJournal()
    Journal(make_runtime(journal=journal)).attempt_failed(make_flow())
    assert journal.attempts == []


@pytest.mark.parametrize(
    ("outcome", "rows"), [(Outcome.COMPLETE, 0), (Outcome.ERROR, 1)], ids=["answered", "refused"]
)
def test_a_probe_has_no_row_unless_it_was_refused(outcome: Outcome, rows: int) -> None:
    assert len(ended(make_flow("GET", "/health", outcome=outcome)).requests) == rows


def test_an_error_ends_a_request_as_an_answer_does() -> None:
    journal, flow = ListJournal(), make_flow(outcome=Outcome.CANCELLED)
    Journal(make_runtime(journal=journal)).error(flow)
    assert [row.outcome for row in journal.requests] == ["client_cancelled"]


def test_a_request_that_ends_twice_has_one_row() -> None:
    journal, flow = ListJournal(), make_flow(attempts=[SERVED])
    addon = Journal(make_runtime(journal=journal))
    addon.response(flow)
    addon.error(flow)
    assert (len(journal.requests), len(journal.attempts)) == (1, 1)


@pytest.mark.parametrize("hook", ["response", "error"])
def test_one_that_has_ended_is_in_flight_no_more(hook: str) -> None:
    runtime, flow = make_runtime(), make_flow()
    runtime.in_flight.add(record(flow))
    getattr(Journal(runtime), hook)(flow)
    assert list(runtime.in_flight) == []


def test_a_flow_without_record_has_no_row() -> None:
    journal = ended(make_flow(opened=False))
    assert (journal.requests, journal.attempts) == ([], [])


# --- what is left on the flow


def test_what_is_left_on_the_flow_is_plain() -> None:
    flow = make_flow(why="took anthropic:work by fill-first", attempts=[SERVED])
    record = exchange_of(flow)
    assert record
    mask_credentials(flow)  # as for those who watch
    ended(flow)
    left = json.loads(json.dumps(flow.metadata))["neurolink"]
    assert left == summary(record)
    assert (left["requestId"], left["why"]) == ("req_1", "took anthropic:work by fill-first")


def test_a_finished_flow_can_be_saved() -> None:
    flow = make_flow(attempts=[SERVED])
    ended(flow)
    assert http.HTTPFlow.from_state(flow.get_state()).metadata == flow.metadata


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_are_starred(name: str) -> None:
    flow = make_flow(headers={name: f"Bearer {SECRET}"})
    flow.request.headers.add(name.title(), SECRET)
    ended(flow)
    assert flow.request.headers.get_all(name) == ["***", "***"]


def test_no_secret_is_left_on_the_flow() -> None:
    flow = make_flow(headers=dict.fromkeys(CREDENTIALS, SECRET), attempts=[SERVED])
    ended(flow)
    assert SECRET not in str(flow.get_state())
    assert "sk-ant-test-work" not in str(flow.get_state())


def test_nothing_else_is_starred() -> None:
    flow = make_flow(headers={"user-agent": "claude-cli/2.1.0"})
    before = flow.request.headers.copy()
    ended(flow)
    assert flow.request.headers == before
