from __future__ import annotations

from neurolink_mitm.addons.telemetry import Telemetry
from neurolink_mitm.core.exchange import Outcome
from tests.addons.flows import answer, make_flow, record
from tests.fakes import FakeTelemetry, make_account, make_attempt, make_runtime

IDS = {"trace_id": "f" * 32, "span_id": "e" * 16}
SERVED = make_attempt(make_account(), status=200)


def test_a_request_that_has_ended_is_told() -> None:
    telemetry, flow = FakeTelemetry(), make_flow(attempts=[SERVED], **IDS)
    answer(flow)
    Telemetry(make_runtime(telemetry=telemetry)).response(flow)
    assert telemetry.recorded == [(record(flow), [f"{1:016x}"])]


def test_an_error_ends_a_request_as_an_answer_does() -> None:
    telemetry, flow = FakeTelemetry(), make_flow(outcome=Outcome.CANCELLED, **IDS)
    Telemetry(make_runtime(telemetry=telemetry)).error(flow)
    assert len(telemetry.recorded) == 1


def test_where_there_is_no_collector_nothing_is_made() -> None:
    telemetry = FakeTelemetry(on=False)
    Telemetry(make_runtime(telemetry=telemetry)).response(make_flow(**IDS))
    Telemetry(make_runtime()).response(make_flow(**IDS))
    assert telemetry.recorded == []


def test_a_probe_is_not_told() -> None:
    telemetry = FakeTelemetry()
    flow = make_flow("GET", "/health", outcome=Outcome.COMPLETE, **IDS)
    Telemetry(make_runtime(telemetry=telemetry)).response(flow)
    assert telemetry.recorded == []


def test_a_flow_without_record_is_not_told() -> None:
    telemetry = FakeTelemetry()
    Telemetry(make_runtime(telemetry=telemetry)).response(make_flow(opened=False))
    assert telemetry.recorded == []
