from __future__ import annotations

import asyncio
import json
from urllib.parse import unquote

import msgspec
import pytest
from mitmproxy import http
from mitmproxy.proxy.layers.http import HttpRequestHook
from mitmproxy.test import taddons

from neurolink_mitm import __version__
from neurolink_mitm.addons.local_api import MANY, LocalApi
from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.exchange import Hold, Kind
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.providers.destinations import entries
from neurolink_mitm.core.providers.models import CLAUDE
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, Fallback, ModelMapping, Routing
from neurolink_mitm.core.status import status
from neurolink_mitm.dataplane.hooks import exchange_of
from neurolink_mitm.ports import Runtime
from tests.addons.flows import answer, document, make_flow, refusal
from tests.fakes import (
    NOW,
    FakeClock,
    FakeDashboard,
    MemoryStateStore,
    make_account,
    make_exchange,
    make_runtime,
)

ADMIN = Secret("admin-token")
SHOWN = {"x-neurolink-admin": "admin-token"}

ANN, BOB = (ClientKey(name, "", NOW) for name in ("ann", "bob"))


def asked(flow: http.HTTPFlow, runtime: Runtime | None = None) -> http.HTTPFlow:
    LocalApi(runtime or make_runtime()).request(flow)
    return flow


def test_health() -> None:
    runtime = make_runtime(clock=FakeClock(NOW + 61.23))
    flow = asked(make_flow("GET", "/health"), runtime)
    assert flow.response is not None
    assert flow.response.status_code == 200
    assert document(flow) == {
        "status": "ok",
        "strategy": "fill-first",
        "uptime": 61.2,
        "version": __version__,
    }


def test_status() -> None:
    runtime = make_runtime(make_account("work"))
    found = document(asked(make_flow("GET", "/status"), runtime))
    assert (found["status"], found["pid"], found["port"]) == ("running", 4711, 55669)
    assert [account["label"] for account in found["stats"]["accounts"]] == ["work"]


def _team() -> Runtime:
    """Ann and Bob have keys, and a held request each."""
    runtime = make_runtime(admin_token=ADMIN, clients=(ANN, BOB))
    for number, key in enumerate((ANN, BOB)):
        each = make_exchange(request_id=f"req_{number}", kind=Kind.MESSAGES, client_key=key)
        runtime.in_flight.add(each)
        each.step = Hold(NOW + 60, "", recovery=True)
        runtime.waiting.enter(each, each.step, NOW, 0.0, lambda: None)
    return runtime


@pytest.mark.parametrize(
    ("asking", "headers", "requests", "held"),
    [
        (None, SHOWN, ["req_0", "req_1"], ["req_0", "req_1"]),
        (ANN, {}, ["req_0"], ["req_0"]),
        (None, {}, [], []),
        (ANN, {"x-neurolink-admin": "guessed"}, ["req_0"], ["req_0"]),
    ],
    ids=["owner", "named key", "key without a name", "wrong token"],
)
def test_only_the_owner_sees_the_requests_of_all_where_keys_are_demanded(
    asking: ClientKey | None, headers: dict[str, str], requests: list[str], held: list[str]
) -> None:
    report = document(asked(make_flow("GET", "/status", headers, client_key=asking), _team()))
    assert [each["requestId"] for each in report["requests"]] == requests
    assert [each["requestId"] for each in report["held"]] == held
    assert (report["requestsInFlight"], report["requestsHeld"]) == (2, 2)


@pytest.mark.parametrize(
    ("asking", "shown"), [(ANN, False), (None, True)], ids=["named key", "owner's key"]
)
async def test_a_named_key_sees_no_metrics_of_other_clients(
    asking: ClientKey | None, shown: bool
) -> None:
    flow, runtime = make_flow("GET", "/metrics", client_key=asking), _team()
    page = LocalApi(runtime).request(flow)
    assert page is not None
    await page
    assert flow.response is not None
    text = flow.response.text or ""
    assert "# HELP proxy_requests_held" in text
    assert ("proxy_client_" in text) is shown


def test_status_shows_no_secret() -> None:
    runtime = make_runtime(make_account("work", proxy_url="http://user:hunter2@proxy"))
    flow = asked(make_flow("GET", "/status?explain"), runtime)
    assert flow.response is not None
    shown = flow.response.content or b""
    assert [s for s in (b"sk-ant-test-work", b"hunter2") if s in shown] == []


@pytest.mark.parametrize(
    ("query", "explained"), [("", False), ("?explain", True), ("?explain=1", True)]
)
def test_status_explains_itself_when_asked_to(query: str, explained: bool) -> None:
    found = document(asked(make_flow("GET", f"/status{query}"), make_runtime(make_account())))
    assert ("explain" in found) is explained


def test_in_passthrough_no_account_is_next() -> None:
    runtime = make_runtime(make_account("work"), passthrough=True)
    found = document(asked(make_flow("GET", "/status?explain&model=gpt-9"), runtime))
    assert [each["reason"] for each in found["explain"]] == ["not asked: passthrough"]
    assert (found["route"]["next"], found["route"]["status"]) == (None, None)
    assert "own credentials" in found["route"]["message"]


@pytest.mark.parametrize(
    ("query", "served"),
    [
        ("explain", {"login", "key"}),
        ("explain&client=claude-code", {"login", "key"}),
        ("explain&client=other", {"key"}),
        ("explain&model=claude-x", {"login"}),
    ],
)
def test_status_explains_the_request_it_is_asked_about(query: str, served: set[str]) -> None:
    runtime = make_runtime(
        make_account("login", "sk-ant-oat-test"), make_account("key", excluded_models=("claude-x",))
    )
    found = document(asked(make_flow("GET", f"/status?{query}"), runtime))
    assert {each["label"] for each in found["explain"] if each["usable"]} == served


def test_models() -> None:
    found = document(asked(make_flow("GET", "/v1/models?limit=1000")))
    assert [model["id"] for model in found["data"]] == [model.id for model in CLAUDE]


MAPPED = Config(
    routing=Routing(
        model_mappings=(
            ModelMapping("gpt-*", "claude-sonnet-4-6"),
            ModelMapping("text-embedding-3-small", "nomic-embed-text", "ollama"),
        ),
        fallback_chain=(Fallback("openai", "gpt-x"),),
    )
)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("claude-sonnet-4-6", "anthropic"),
        ("text-embedding-3-small", "ollama"),
        ("gpt-4o", "anthropic"),
        ("openai/gpt-x", "openai"),
        ("openai%2Fgpt-x", "openai"),
        ("gemini-9", "vertex"),
        ("ollama/nomic-embed-text", "ollama"),
    ],
    ids=["Claude", "mapped", "by a wildcard", "in the chain", "escaped", "gemini", "embeddings"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_a_model_is(name: str, owner: str, method: str) -> None:
    runtime = make_runtime(config=MAPPED)
    runtime.pool.update((), entries(MAPPED, {}))
    flow = asked(make_flow(method, f"/v1/models/{name}"), runtime)
    assert flow.response
    assert flow.response.status_code == 200
    if method == "GET":
        found = document(flow)
        assert (found["id"], found["owned_by"]) == (unquote(name), owner)
        assert (found["type"], found["object"]) == ("model", "model")
    else:
        assert flow.response.content == b""
    exchange = exchange_of(flow)
    assert exchange
    assert exchange.kind is Kind.LOCAL


def test_a_model_that_is_not_there_is_openais_404() -> None:
    flow = asked(make_flow("GET", "/v1/models/o9"), make_runtime(config=MAPPED))
    assert flow.response
    assert flow.response.status_code == 404
    error = json.loads(flow.response.content or b"")["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_found")


@pytest.mark.parametrize(
    ("method", "name", "headers"),
    [
        ("GET", "claude-9", {}),
        ("GET", "o9", {"anthropic-version": "2023-06-01"}),
        ("DELETE", "claude-sonnet-4-6", {}),
        ("GET", "", {}),
    ],
    ids=["a Claude", "of Anthropic's client", "deleted", "no name"],
)
def test_others_are_asked_of_anthropic(method: str, name: str, headers: dict[str, str]) -> None:
    flow = asked(make_flow(method, f"/v1/models/{name}", headers=headers), make_runtime())
    assert flow.response is None
    passed = make_runtime(passthrough=True)
    assert asked(make_flow("GET", "/v1/models/claude-sonnet-4-6"), passed).response is None


@pytest.mark.parametrize("path", ["/status", "/metrics"])
async def test_many_accounts_do_not_hold_up_the_loop(path: str) -> None:
    runtime = make_runtime(*(make_account(f"a{n}") for n in range(MANY + 1)))
    flow = make_flow("GET", path)
    answering = LocalApi(runtime).request(flow)
    assert answering is not None
    task, turns = asyncio.ensure_future(answering), 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 1, "it was made at once, on the loop"
    assert flow.response is not None
    assert flow.response.status_code == 200
    if path == "/status":
        assert flow.response.json() == msgspec.to_builtins(status.report(runtime, NOW))


async def test_metrics() -> None:
    flow = make_flow("GET", "/metrics")
    answering = LocalApi(make_runtime(make_account("work"))).request(flow)
    assert answering is not None
    await answering
    assert flow.response is not None
    assert flow.response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'proxy_account_cooling{account="work"} 0' in (flow.response.text or "")


def test_the_root_says_what_this_is() -> None:
    assert document(asked(make_flow("GET", "/"))) == {
        "name": "neurolink",
        "version": __version__,
        "status": "/status",
        "dashboard": None,
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ready_while_it_serves(method: str) -> None:
    runtime = make_runtime()
    for phase, code in (("starting", 503), ("ready", 200), ("draining", 503)):
        flow = asked(make_flow(method, "/ready"), runtime)
        assert flow.response is not None
        assert flow.response.status_code == code
        assert flow.response.headers["cache-control"] == "no-store"
        if method == "GET":
            assert document(flow) == {"status": phase}
        (runtime.readiness.serve if phase == "starting" else lambda: runtime.readiness.drain(0))()


@pytest.mark.parametrize("path", ["/", "/health"])
def test_head_gets_the_headers_of_a_get_and_no_body(path: str) -> None:
    get, head = asked(make_flow("GET", path)).response, asked(make_flow("HEAD", path)).response
    assert get is not None
    assert head is not None
    assert head.raw_content == b""
    assert head.headers == get.headers
    assert get.headers["content-length"] == str(len(get.raw_content or b""))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", "GET, HEAD"),
        ("POST", "/ready", "GET, HEAD"),
        ("DELETE", "/admin/reset", "POST"),
        ("OPTIONS", "/status?explain", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
    ],
)
def test_another_method_is_answered_here(method: str, path: str, allowed: str) -> None:
    """And goes nowhere: the path means nothing to anybody else."""
    flow = asked(make_flow(method, path, {"authorization": "Bearer mine"}))
    assert refusal(flow) == (405, "invalid_request_error")
    assert flow.response is not None
    assert flow.response.headers["allow"] == allowed


def test_time_does_not_stand_still() -> None:
    clock = FakeClock()
    api, flow = LocalApi(make_runtime(clock=clock)), make_flow("GET", "/health")
    clock.advance(5)
    api.request(flow)
    assert document(flow)["uptime"] == 5.0


class BrokenClock(FakeClock):
    """What breaks when a page is made."""

    def now(self) -> float:
        raise RuntimeError("no time today")


@pytest.mark.parametrize("path", ["/health", "/status", "/metrics", "/v1/models", "/"])
async def test_a_page_that_can_not_be_made_is_not_asked_for_upstream(path: str) -> None:
    """mitmproxy logs the exception and goes on: without an answer it would go out on an account."""
    flow = make_flow("GET", path)
    with taddons.context(LocalApi(make_runtime(clock=BrokenClock()))) as context:
        await context.master.addons.trigger_event(HttpRequestHook(flow))
    assert refusal(flow) == (500, "api_error")


# --- what it leaves alone


def test_what_was_answered_already_stays_so() -> None:
    flow = make_flow("GET", "/status")
    refused = answer(flow, 403)
    assert asked(flow).response is refused


@pytest.mark.parametrize("kind", [k for k in Kind if k is not Kind.LOCAL], ids=lambda k: k.value)
def test_what_is_not_local_is_not_answered_here(kind: Kind) -> None:
    assert asked(make_flow("GET", "/status", kind=kind)).response is None


def test_a_flow_without_record_is_not_answered() -> None:
    assert asked(make_flow("GET", "/status", opened=False)).response is None


# --- reset


def cooling() -> Runtime:
    """Two accounts, both cooling."""
    runtime = make_runtime(
        make_account("work"),
        make_account("home"),
        admin_token=ADMIN,
        state_store=MemoryStateStore(),
    )
    for account in runtime.pool.accounts:
        runtime.pool.failed(
            account.key, Requirements(), Failure.of_status(401, b""), sent_at=NOW, now=NOW
        )
    return runtime


def still_cooling(runtime: Runtime) -> set[str]:
    return set(runtime.pool.ineligible(Requirements(), NOW))


@pytest.mark.parametrize(
    ("query", "reset", "left"),
    [
        ("", ["work", "home"], set()),
        ("?account=work", ["work"], {"anthropic:home"}),
        ("?account=anthropic:home", ["home"], {"anthropic:work"}),
    ],
    ids=["all", "by-label", "by-key"],
)
def test_reset(query: str, reset: list[str], left: set[str]) -> None:
    runtime = cooling()
    flow = asked(make_flow("POST", f"/admin/reset{query}", SHOWN), runtime)
    assert document(flow) == {"reset": reset}
    assert still_cooling(runtime) == left


def test_a_model_of_another_provider_is_reset_too() -> None:
    runtime = cooling()
    other = make_account("openai/gpt-5", key="openai/gpt-5", type="provider")
    runtime.pool.update(runtime.pool.accounts, [other])
    runtime.pool.failed(
        other.key, Requirements(), Failure.of_status(401, b""), sent_at=NOW, now=NOW
    )
    assert runtime.pool.ineligible_fallbacks([other.key], Requirements(), NOW)
    flow = asked(make_flow("POST", "/admin/reset?account=openai/gpt-5", SHOWN), runtime)
    assert document(flow) == {"reset": ["openai/gpt-5"]}
    assert not runtime.pool.ineligible_fallbacks([other.key], Requirements(), NOW)


def test_a_reset_is_remembered() -> None:
    runtime = cooling()
    asked(make_flow("POST", "/admin/reset?account=work", SHOWN), runtime)
    assert isinstance(runtime.state_store, MemoryStateStore)
    assert list(runtime.state_store.kept_cooldowns) == ["anthropic:home"]


def test_an_account_that_does_not_exist_is_not_reset() -> None:
    runtime = cooling()
    flow = asked(make_flow("POST", "/admin/reset?account=gone", SHOWN), runtime)
    assert refusal(flow) == (404, "not_found_error")
    assert "no account 'gone'; there are: work, home" in flow.response.text  # type: ignore[union-attr]
    assert len(still_cooling(runtime)) == 2


def test_a_mistyped_account_leads_on() -> None:
    flow = asked(make_flow("POST", "/admin/reset?account=wrok", SHOWN), cooling())
    assert "no account 'wrok', did you mean 'work'?" in flow.response.text  # type: ignore[union-attr]


def test_what_nobody_configured_is_not_told_as_reset() -> None:
    """The entry for `gemini-*` is always there."""
    runtime = cooling()
    runtime.pool.update(runtime.pool.accounts, entries(Config(), {}))
    flow = asked(make_flow("POST", "/admin/reset", SHOWN), runtime)
    assert document(flow) == {"reset": ["work", "home"]}


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-neurolink-admin": ""}, {"x-neurolink-admin": "admin"}, {"x-api-key": "admin-token"}],
    ids=["none", "empty", "part", "elsewhere"],
)
def test_without_its_token_nobody_resets(headers: dict[str, str]) -> None:
    runtime = cooling()
    flow = asked(make_flow("POST", "/admin/reset", headers), runtime)
    assert refusal(flow) == (403, "permission_error")
    assert len(still_cooling(runtime)) == 2


@pytest.mark.parametrize("shown", ["", "None", "admin-token"])
def test_where_there_is_no_token_nobody_resets(shown: str) -> None:
    runtime = cooling()
    runtime.admin_token = None
    flow = asked(make_flow("POST", "/admin/reset", {"x-neurolink-admin": shown}), runtime)
    assert refusal(flow) == (403, "permission_error")


def test_the_document_is_json() -> None:
    response = asked(make_flow("GET", "/status")).response
    assert response is not None
    assert response.headers["content-type"] == "application/json"
    json.loads(response.content or b"")


LINK = "/admin/dashboard-link?link="
DIGEST = "0a" * 32


def test_the_owner_makes_a_link_whose_token_the_proxy_never_sees() -> None:
    dashboard = FakeDashboard()
    runtime = cooling()
    runtime.dashboard = dashboard
    flow = asked(make_flow("POST", LINK + DIGEST, SHOWN), runtime)
    assert document(flow) == {"url": dashboard.url}
    assert dashboard.links == [DIGEST]


@pytest.mark.parametrize(
    ("digest", "headers", "url", "expected"),
    [
        (DIGEST, {}, "http://127.0.0.1:1", (403, "permission_error")),
        (DIGEST, {"x-neurolink-admin": "guess"}, "http://127.0.0.1:1", (403, "permission_error")),
        ("", SHOWN, "http://127.0.0.1:1", (400, "invalid_request_error")),
        (DIGEST.upper(), SHOWN, "http://127.0.0.1:1", (400, "invalid_request_error")),
        (DIGEST, SHOWN, None, (404, "not_found_error")),
    ],
    ids=["nobody", "somebody", "no-digest", "odd-digest", "off"],
)
def test_no_link(
    digest: str, headers: dict[str, str], url: str | None, expected: tuple[int, str]
) -> None:
    dashboard = FakeDashboard(url)
    runtime = cooling()
    runtime.dashboard = dashboard
    assert refusal(asked(make_flow("POST", LINK + digest, headers), runtime)) == expected
    assert dashboard.links == []
