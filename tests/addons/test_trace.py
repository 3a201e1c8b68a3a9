from __future__ import annotations

from mitmproxy import http

from neurolink_mitm.addons.trace import Trace
from neurolink_mitm.core.exchange import Exchange, Kind
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.request.trace_context import Caller
from neurolink_mitm.core.settings.values import Config, Timeouts
from neurolink_mitm.dataplane.hooks import exchange_of
from tests.addons.flows import answer, make_flow, record
from tests.fakes import NOW, FakeClock, make_account, make_attempt, make_runtime

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def opened(
    headers: dict[str, str] | None = None, method: str = "POST", path: str = "/v1/messages"
) -> Exchange:
    flow = make_flow(method, path, headers, opened=False)
    Trace(make_runtime()).requestheaders(flow)
    return record(flow)


# --- a request has come


def test_it_is_in_flight() -> None:
    runtime, flow = make_runtime(), make_flow(opened=False)
    Trace(runtime).requestheaders(flow)
    assert list(runtime.in_flight) == [record(flow)]


def test_it_opens_the_record() -> None:
    exchange = opened(method="POST", path="/v1/messages?beta=true")
    assert (exchange.method, exchange.path) == ("POST", "/v1/messages?beta=true")
    assert (exchange.request_id, exchange.began_at) == ("req_1", NOW)


def test_the_kind_is_known_from_the_line() -> None:
    assert opened(method="GET", path="/health").kind is Kind.LOCAL


def test_so_is_the_api() -> None:
    assert opened(path="/v1/chat/completions").api is Api.CHAT
    assert opened().api is Api.ANTHROPIC


def test_each_request_has_its_own_id() -> None:
    trace, first, second = Trace(make_runtime()), make_flow(opened=False), make_flow(opened=False)
    trace.requestheaders(first)
    trace.requestheaders(second)
    assert record(first).request_id != record(second).request_id


def test_claude_codes_session_and_agent_are_kept() -> None:
    exchange = opened({"X-Claude-Code-Session-Id": "s1", "User-Agent": "claude-cli/2.1.0"})
    assert (exchange.session_id, exchange.user_agent) == ("s1", "claude-cli/2.1.0")


def test_without_headers_nothing_is_made_up() -> None:
    exchange = opened()
    assert (exchange.session_id, exchange.user_agent, exchange.labels) == (None, "", {})


def test_the_callers_trace_goes_on() -> None:
    exchange = opened({"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})
    assert exchange.trace_id == TRACE_ID
    assert exchange.caller == Caller(TRACE_ID, "b7ad6b7169203331", sampled=True)


def test_a_trace_is_begun_where_there_is_none() -> None:
    exchange = opened({"traceparent": "nonsense"})
    assert (exchange.trace_id, exchange.caller) == (f"{2:032x}", None)


def test_the_span_is_our_own() -> None:
    exchange = opened({"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"})
    assert exchange.span_id == f"{2:016x}"


def test_labels_are_kept() -> None:
    exchange = opened(
        {
            "x-neurolink-session-id": "s",
            "X-NeuroLink-User-Id": "u",
            "x-neurolink-conversation-id": "c",
        }
    )
    assert exchange.labels == {"session": "s", "user": "u", "conversation": "c"}


def test_an_empty_label_is_none() -> None:
    assert opened({"x-neurolink-session-id": ""}).labels == {}


def test_timeouts_are_those_of_the_moment() -> None:
    runtime, trace_timeouts = make_runtime(), Timeouts(idle=7)
    trace = Trace(runtime)
    runtime.config = Config(timeouts=trace_timeouts)
    flow = make_flow(opened=False)
    trace.requestheaders(flow)
    assert record(flow).timeouts is trace_timeouts


# --- the answer begins


def test_the_first_byte_is_noted() -> None:
    clock = FakeClock()
    flow = make_flow()
    answer(flow, 404)
    clock.advance(1.5)
    Trace(make_runtime(clock=clock)).responseheaders(flow)
    assert (record(flow).first_byte_at, record(flow).status) == (NOW + 1.5, 404)


def told(flow: http.HTTPFlow) -> dict[str, str]:
    response = answer(flow)
    Trace(make_runtime()).responseheaders(flow)
    return {k: v for k, v in response.headers.items() if k.startswith("x-neurolink-")}


def test_the_client_is_told_who_answered() -> None:
    failed = make_attempt(make_account("home"), failure=Failure.of_status(429, b""))
    flow = make_flow(attempts=[failed, make_attempt(make_account("work"))])
    assert told(flow) == {
        "x-neurolink-request-id": "req_1",
        "x-neurolink-attempts": "2",
        "x-neurolink-account": "work",
    }


def test_an_answer_of_our_own_names_no_account() -> None:
    assert told(make_flow()) == {"x-neurolink-request-id": "req_1"}


def test_what_was_forwarded_names_no_account() -> None:
    assert told(make_flow(attempts=[make_attempt(None)])) == {
        "x-neurolink-request-id": "req_1",
        "x-neurolink-attempts": "1",
    }


def test_upstream_can_not_say_who_answered() -> None:
    flow = make_flow()
    answer(flow).headers["X-NeuroLink-Request-Id"] = "forged"
    Trace(make_runtime()).responseheaders(flow)
    assert flow.response is not None
    assert flow.response.headers.get_all("x-neurolink-request-id") == ["req_1"]


def test_a_flow_without_record_is_let_alone() -> None:
    assert told(make_flow(opened=False)) == {}


def test_a_flow_of_another_mode_or_of_a_file_gets_no_record() -> None:
    flow = make_flow(opened=False, ours=False)
    Trace(make_runtime()).requestheaders(flow)
    assert exchange_of(flow) is None


def test_names_in_utf_8_are_read() -> None:
    assert opened({"x-neurolink-user-id": "büro"}).labels == {"user": "büro"}
