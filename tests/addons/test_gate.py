"""Lets in who may come in, by the head alone."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import HttpRequestHeadersHook, HttpRequestHook
from mitmproxy.test import taddons

from neurolink_mitm.addons.gate import Gate
from neurolink_mitm.addons.local_api import LocalApi
from neurolink_mitm.addons.route import Route
from neurolink_mitm.core.auth.client_keys import ClientKey, digest
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.listen import Listen
from neurolink_mitm.core.settings.values import Clients, Config
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime
from tests.addons.flows import document, make_flow, record, refusal
from tests.fakes import make_runtime

KEYS = Config(clients=Clients((Secret("client-one"), Secret("client-two"))))


class BrokenNames(frozenset[str]):
    """What breaks when the gate looks into it."""

    def __contains__(self, name: object) -> bool:
        raise RuntimeError("no names today")


def asked(runtime: Runtime, flow: http.HTTPFlow) -> http.HTTPFlow:
    Gate(runtime).requestheaders(flow)
    found = exchange_of(flow)
    assert (flow.response is None) is bool(found and found.admitted)
    return flow


async def stacked(runtime: Runtime, flow: http.HTTPFlow) -> http.HTTPFlow:
    """As mitmproxy does it: an addon's exception is logged, and the next one has its turn."""
    with taddons.context(Gate(runtime), LocalApi(runtime), Route(runtime)) as context:
        await context.master.addons.trigger_event(HttpRequestHeadersHook(flow))
        if not flow.response:
            await context.master.addons.trigger_event(HttpRequestHook(flow))
    return flow


# --- it denies first: the data plane lets nobody on who is not admitted


async def test_a_flow_without_record_is_not_admitted() -> None:
    flow = make_flow("GET", "/health", opened=False)
    await stacked(make_runtime(), flow)
    assert exchange_of(flow) is None


@pytest.mark.parametrize("path", ["/status", "/v1/models", "/", "/elsewhere"])
async def test_while_the_check_breaks_nobody_is_admitted(path: str) -> None:
    flow = make_flow("GET", path, {"host": "desk", "authorization": "Bearer mine"})
    assert not record(await stacked(make_runtime(names=BrokenNames()), flow)).admitted


async def test_an_addon_behind_it_does_not_answer_who_was_refused() -> None:
    flow = make_flow("GET", "/status", {"host": "evil.example"})
    assert refusal(await stacked(make_runtime(), flow)) == (403, "permission_error")


async def test_who_is_let_in_is_answered_behind_it() -> None:
    flow = await stacked(make_runtime(), make_flow("GET", "/health"))
    assert document(flow)["status"] == "ok"


@pytest.mark.parametrize(("host", "admitted"), [("localhost", True), ("evil.example", False)])
def test_an_answer_of_an_earlier_addon_stays(host: str, admitted: bool) -> None:
    flow = make_flow(headers={"host": host})
    given = flow.response = http.Response.make(407)
    Gate(make_runtime()).requestheaders(flow)
    assert flow.response is given
    assert record(flow).admitted is admitted


async def test_a_flow_of_another_mode_or_of_a_file_is_left_alone() -> None:
    flow = make_flow(headers={"host": "evil.example"}, opened=False, ours=False)
    assert (await stacked(make_runtime(), flow)).response is None


# --- Host and Origin


@pytest.mark.parametrize("host", ["127.0.0.1:55669", "localhost", "[::1]:55669"])
def test_whoever_names_this_machine_gets_in(host: str) -> None:
    assert asked(make_runtime(), make_flow(headers={"host": host})).response is None


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:55669", "192.168.1.7", ""]
)
@pytest.mark.parametrize("path", ["/healthy", "/status", "/v1/messages", "/"])
def test_whoever_names_another_host_stays_out(path: str, host: str) -> None:
    flow = asked(make_runtime(), make_flow("GET", path, {"host": host}))
    assert refusal(flow) == (403, "permission_error")


@pytest.mark.parametrize("path", ["/health", "/ready", "/ready?x"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_balancer_asks_by_any_host_and_without_a_key(method: str, path: str) -> None:
    flow = make_flow(method, path, {"host": "10.1.2.3:80"})
    assert asked(make_runtime(config=KEYS), flow).response is None


def test_whoever_names_no_host_stays_out() -> None:
    flow = make_flow()
    del flow.request.headers["host"]
    assert refusal(asked(make_runtime(), flow)) == (403, "permission_error")


def test_it_goes_by_what_the_client_wrote_and_not_by_the_placeholder() -> None:
    flow = make_flow(headers={"host": "evil.example"})
    flow.request.data.host = "127.0.0.1"
    assert refusal(asked(make_runtime(), flow)) == (403, "permission_error")


def test_a_page_from_elsewhere_stays_out() -> None:
    flow = asked(make_runtime(), make_flow(headers={"origin": "https://evil.example"}))
    assert refusal(flow) == (403, "permission_error")


def test_a_page_of_our_own_gets_in() -> None:
    flow = asked(make_runtime(), make_flow(headers={"origin": "http://127.0.0.1:55669"}))
    assert flow.response is None


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({"host": "192.168.1.7"}, "192.168.1.7:1"),
        ({"names": frozenset({"desk"})}, "desk:1"),
        ({"config": Config(listen=Listen(hosts=("pool.example",)))}, "Pool.example.:1"),
    ],
    ids=["bound", "name", "listed"],
)
def test_the_runtime_says_what_else_is_ours(changes: dict[str, object], host: str) -> None:
    flow = make_flow("HEAD", "/", {"host": host})
    assert asked(make_runtime(**changes), flow).response is None


# --- client keys


def test_without_keys_none_is_asked_for() -> None:
    assert asked(make_runtime(), make_flow()).response is None


@pytest.mark.parametrize(
    "headers",
    [{"x-api-key": "client-one"}, {"authorization": "Bearer client-two"}],
    ids=["key", "bearer"],
)
def test_a_key_opens(headers: dict[str, str]) -> None:
    assert asked(make_runtime(config=KEYS), make_flow(headers=headers)).response is None


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": "client-three"}, {"authorization": "Bearer sk-ant-mine"}],
    ids=["none", "wrong-key", "wrong-bearer"],
)
@pytest.mark.parametrize(
    "path", ["/status", "/v1/messages", "/v1/models", "/", "/healthy", "/x/health"]
)
def test_without_a_key_everything_is_shut(path: str, headers: dict[str, str]) -> None:
    flow = asked(make_runtime(config=KEYS), make_flow("GET", path, headers))
    assert refusal(flow) == (401, "authentication_error")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/health"), ("OPTIONS", "/health"), ("DELETE", "/admin/reset"),
     ("GET", "/admin/reset"), ("PUT", "/admin/reset?account=a"), ("POST", "/status")],
)  # fmt: skip
def test_what_is_open_to_all_is_so_for_its_own_method_only(method: str, path: str) -> None:
    flow = asked(make_runtime(config=KEYS), make_flow(method, path))
    assert refusal(flow) == (401, "authentication_error")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/health"), ("HEAD", "/health"), ("GET", "/health?verbose=1"), ("HEAD", "/")],
)
def test_health_and_the_probe_are_open_to_all(method: str, path: str) -> None:
    assert asked(make_runtime(config=KEYS), make_flow(method, path)).response is None


def test_even_with_a_key_a_page_from_elsewhere_stays_out() -> None:
    headers = {"x-api-key": "client-one", "origin": "https://evil.example"}
    flow = asked(make_runtime(config=KEYS), make_flow(headers=headers))
    assert refusal(flow) == (403, "permission_error")


def test_keys_are_those_of_the_moment() -> None:
    runtime = make_runtime(config=KEYS)
    gate, flow = Gate(runtime), make_flow(headers={"x-api-key": "client-one"})
    runtime.config = Config(clients=Clients((Secret("another"),)))
    gate.requestheaders(flow)
    assert refusal(flow) == (401, "authentication_error")


def test_a_refusal_names_the_request() -> None:
    flow = asked(make_runtime(config=KEYS), make_flow())
    assert document(flow)["request_id"] == "req_1"


def test_a_refusal_does_not_repeat_the_wrong_key() -> None:
    flow = asked(make_runtime(config=KEYS), make_flow(headers={"x-api-key": "sk-ant-mine"}))
    assert flow.response is not None
    assert b"sk-ant-mine" not in (flow.response.content or b"")


@pytest.mark.parametrize(
    ("passthrough", "refused"), [(False, False), (True, True)], ids=["pool", "passthrough"]
)
def test_the_owners_token_opens_too(passthrough: bool, refused: bool) -> None:
    """But it is never forwarded."""
    settings = {"config": KEYS, "admin_token": Secret("owner"), "passthrough": passthrough}
    flow = asked(make_runtime(**settings), make_flow(headers={"x-api-key": "owner"}))
    assert (flow.response is not None) is refused


def test_beyond_loopback_nobody_gets_in_without_any_key() -> None:
    flow = make_flow(headers={"host": "192.168.1.7:1", "x-api-key": "anything"})
    assert refusal(asked(make_runtime(host="192.168.1.7"), flow)) == (401, "authentication_error")


def test_a_hashed_key_opens() -> None:
    runtime = make_runtime(clients=(ClientKey("laptop", digest("client-three"), 0),))
    assert asked(runtime, make_flow(headers={"x-api-key": "client-three"})).response is None
    assert refusal(asked(runtime, make_flow())) == (401, "authentication_error")


@pytest.mark.parametrize(
    ("key", "name"), [("client-three", "laptop"), ("client-one", None), ("owner", None)]
)
def test_the_record_names_whose_key_it_was(key: str, name: str | None) -> None:
    """Keys of the configuration have no name, nor has the owner's token."""
    laptop = ClientKey("laptop", digest("client-three"), 0)
    runtime = make_runtime(config=KEYS, clients=(laptop,), admin_token=Secret("owner"))
    assert record(asked(runtime, make_flow(headers={"x-api-key": key}))).client == name


@pytest.mark.parametrize(
    ("changes", "status"), [({}, 429), ({"passthrough": True}, None)], ids=["pool", "passthrough"]
)
def test_a_client_is_held_to_its_limits(changes: dict[str, Any], status: int | None) -> None:
    """Not where its own credential is forwarded."""
    client = ClientKey("laptop", digest("client-three"), 0, daily_cap_usd=0.0)
    flow = make_flow(headers={"x-api-key": "client-three"})
    asked(make_runtime(clients=(client,), **changes), flow)
    assert (refusal(flow)[0] if flow.response else None) == status
    assert record(flow).client == "laptop"
