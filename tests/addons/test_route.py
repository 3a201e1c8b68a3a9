from __future__ import annotations

import json
from dataclasses import replace

import pytest
from mitmproxy import http

from neurolink_mitm.addons.route import Route
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Clients, Config
from neurolink_mitm.ports import Runtime
from tests.addons.flows import MESSAGE, answer, document, make_flow, record, refusal
from tests.fakes import make_other, make_runtime

KEYS = Config(clients=Clients((Secret("client-one"),)))
OWN = {"authorization": "Bearer sk-ant-oat-mine"}


def asked(flow: http.HTTPFlow, runtime: Runtime | None = None) -> http.HTTPFlow:
    Route(runtime or make_runtime()).request(flow)
    return flow


def body(**more: object) -> bytes:
    return json.dumps(MESSAGE | more).encode()


# --- messages


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_it_notes_what_is_asked_for(path: str) -> None:
    more = {"stream": True, "tools": [{}], "metadata": {"user_id": "u_session_12345678"}}
    flow = asked(make_flow("POST", path, body=body(**more)))
    exchange = record(flow)
    assert flow.response is None
    assert (exchange.model, exchange.stream) == ("claude-x", True)
    assert (exchange.tool_count, exchange.session_id) == (1, "12345678")


def test_the_session_of_the_header_outranks_that_of_the_body() -> None:
    more = {"metadata": {"user_id": "u_session_12345678"}}
    flow = asked(make_flow(body=body(**more), session_id="from-header"))
    assert record(flow).session_id == "from-header"


@pytest.mark.parametrize(
    ("user_id", "session"), [("u_session_12345678", "12345678"), ("x", "ours")]
)
def test_the_session_that_is_named_for_us_comes_last(user_id: str, session: str) -> None:
    flow = make_flow(body=body(metadata={"user_id": user_id}), labels={"session": "ours"})
    assert record(asked(flow)).session_id == session


@pytest.mark.parametrize("model", ["claude-x", 7], ids=["good", "bad"])
async def test_a_long_body_is_read_beside_the_event_loop(model: object) -> None:
    flow = make_flow(body=body(model=model, system="x" * 600_000))
    waits = Route(make_runtime()).request(flow)
    assert waits is not None
    await waits
    assert (record(flow).model == model) == (flow.response is None)


def test_the_body_is_left_as_it_came() -> None:
    sent = b' {"model" : "claude-x","messages":[ ],"new": 1e2} '
    assert asked(make_flow(body=sent)).request.raw_content == sent


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    "sent",
    [b"", b"no", b'{"model":"claude-x"}', b"\xff", b'{"x":' + b"[" * 200_000],
    ids=["empty", "text", "no-messages", "binary", "deep"],
)
def test_a_bad_body_is_refused(sent: bytes, path: str) -> None:
    flow = asked(make_flow("POST", path, body=sent))
    assert refusal(flow) == (400, "invalid_request_error")


def test_a_body_that_was_never_read_is_refused() -> None:
    flow = make_flow()
    flow.request.data.content = None
    assert refusal(asked(flow)) == (400, "invalid_request_error")


def test_a_model_nobody_here_has_is_refused_with_those_there_are() -> None:
    flow = asked(make_flow(body=body(model="gpt-9")))
    assert refusal(flow) == (404, "not_found_error")
    assert "claude-sonnet-4-6" in document(flow)["error"]["message"]


def test_a_refusal_names_the_request() -> None:
    assert document(asked(make_flow(body=b"")))["request_id"] == "req_1"


def test_a_hostile_session_does_not_get_past_it_unread() -> None:
    """If it raised, mitmproxy would log that and send the request all the same."""
    hostile = {"metadata": {"user_id": '{"x":' + "[" * 200_000}}
    flow = asked(make_flow(body=body(**hostile)))
    assert record(flow).model == "claude-x"


# --- anything else


@pytest.mark.parametrize("path", ["/v1/files", "/v1/messages/batches"])
def test_other_calls_of_the_api_are_not_read(path: str) -> None:
    flow = asked(make_flow("POST", path, body=b"\xff"))
    assert flow.response is None
    assert record(flow).model is None


@pytest.mark.parametrize(
    ("headers", "forwarded"),
    [
        (OWN, True),
        ({"x-api-key": "sk-ant-mine"}, True),
        ({}, False),
        ({"cookie": "session=1"}, False),
        ({"authorization": "Basic dTpw"}, False),
    ],
    ids=["bearer", "key", "nothing", "cookie", "basic"],
)
def test_other_paths_need_a_credential_of_the_callers(
    headers: dict[str, str], forwarded: bool
) -> None:
    flow = asked(make_flow("GET", "/api/oauth/profile", headers))
    if forwarded:
        assert flow.response is None
    else:
        assert refusal(flow) == (404, "not_found_error")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "client-one"},
        {"authorization": "Bearer client-one"},
        {"x-api-key": "client-one", **OWN},
    ],
    ids=["key", "bearer", "beside-an-own"],
)
def test_a_key_of_this_proxy_does_not_leave_it(headers: dict[str, str]) -> None:
    flow = asked(make_flow("GET", "/api/x", headers), make_runtime(config=KEYS))
    assert refusal(flow) == (404, "not_found_error")


def test_a_credential_of_the_callers_may_leave_where_keys_are_asked_for() -> None:
    assert asked(make_flow("GET", "/api/x", OWN), make_runtime(config=KEYS)).response is None


# --- what a cap can't bound


@pytest.mark.parametrize(("cap", "status"), [(1.0, 400), (None, None)], ids=["cap", "none"])
def test_a_model_without_a_price_is_not_asked_for_a_client_with_a_cap(
    cap: float | None, status: int | None
) -> None:
    """Nor under `routing.daily-cap-usd`: the entry for `gemini-*` names no model whose price could be looked up."""
    anything = replace(make_other("vertex", "gemini-*"), model=None)
    runtime = make_runtime(pool=Pool((), fallbacks=(anything,)))
    client = ClientKey("bob", "", 0, daily_cap_usd=cap)
    flow = asked(make_flow(body=body(model="gemini-next"), client_key=client), runtime)
    assert (flow.response.status_code if flow.response else None) == status


# --- passthrough


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files", "/api/x"])
def test_passed_through_everything_is_forwarded(path: str) -> None:
    flow = asked(make_flow("POST", path, OWN, b"\xff"), make_runtime(passthrough=True))
    assert (flow.response, record(flow).kind) == (None, Kind.FORWARD)


def test_passed_through_it_still_takes_a_credential() -> None:
    flow = asked(make_flow("POST", "/v1/messages"), make_runtime(passthrough=True))
    assert refusal(flow) == (404, "not_found_error")


# --- what it leaves alone


@pytest.mark.parametrize("passthrough", [True, False], ids=["passthrough", "pool"])
def test_what_was_answered_already_stays_so(passthrough: bool) -> None:
    flow = make_flow(body=b"")
    refused = answer(flow, 403)
    asked(flow, make_runtime(passthrough=passthrough))
    assert flow.response is refused
    assert record(flow).kind is Kind.MESSAGES


def test_a_flow_without_record_is_let_alone() -> None:
    assert asked(make_flow(body=b"", opened=False)).response is None


@pytest.mark.parametrize(
    "path", ["//v1/messages", "/V1/messages", "/v1/messages/", "/v1//messages"]
)
@pytest.mark.parametrize("passthrough", [False, True])
def test_a_look_alike_of_a_path_goes_nowhere(path: str, passthrough: bool) -> None:
    """Some server may take it for the real one, and its body was not shaped."""
    flow = asked(make_flow("POST", path, OWN), make_runtime(passthrough=passthrough))
    if passthrough:
        assert flow.response is None
    else:
        assert refusal(flow) == (404, "not_found_error")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/chat/completions"])
def test_what_is_not_translated_goes_nowhere(path: str) -> None:
    """Anthropic has such a path, too."""
    kind = Kind.FORWARD if path == "/chat/completions" else Kind.API
    flow = asked(make_flow("POST", path, OWN, api=Api.CHAT, kind=kind))
    assert refusal(flow) == (500, "api_error")
    passing = make_runtime(passthrough=True)
    assert asked(make_flow("POST", path, OWN, api=Api.CHAT, kind=kind), passing).response is None
