from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import msgspec
import pytest
import zstandard
from mitmproxy import http

from neurolink_mitm.addons import openai_request
from neurolink_mitm.addons.openai_request import OpenAiRequest
from neurolink_mitm.addons.route import Route
from neurolink_mitm.core.auth.client_keys import ClientKey, digest
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.openai.claude import TraitsOf
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.stored import Pending
from neurolink_mitm.core.openai.translated import Translated
from neurolink_mitm.dataplane.original_request import save_received_request
from neurolink_mitm.ports import Runtime
from tests.addons.flows import MESSAGE, make_flow, record
from tests.core.openai.formats import PlainAnswer
from tests.fakes import NOW, make_runtime

ASKED = json.dumps({"model": "claude-x", "stream": True}).encode()


def plain_request(body: bytes, traits: TraitsOf) -> Translated:
    """A translation of the tests' own."""
    try:
        asked = json.loads(body)
    except ValueError:
        raise RequestError("not JSON") from None
    if "role" in asked:
        raise RequestError("no such role", "messages[0].role", "invalid_value")
    if "explode" in asked:
        raise KeyError("a secret")
    claude = traits(asked["model"])
    sent = json.dumps(MESSAGE | asked).encode()
    named = asked.get("prompt_cache_key")
    return Translated(
        sent,
        PlainAnswer(),
        session=named or "digest",
        names_session=bool(named),
        beta=claude.beta,
        notes=("seed is not served",),
    )


def asked(
    body: bytes = ASKED,
    path: str = "/v1/chat/completions?x=1",
    method: str = "POST",
    runtime: Runtime | None = None,
    **headers: str,
) -> http.HTTPFlow:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    api = {"/v1/chat/completions": Api.CHAT, "/v1/messages": Api.ANTHROPIC}
    chosen = api.get(path.partition("?")[0], Api.OPENAI) if method == "POST" else Api.OPENAI
    flow = make_flow(method, path, fields, body, api=chosen)
    save_received_request(flow, flow.request)
    addon = OpenAiRequest(runtime or make_runtime(), {Api.CHAT: plain_request})
    assert addon.request(flow) is None
    return flow


def error(flow: http.HTTPFlow) -> tuple[int, dict[str, Any]]:
    assert flow.response is not None, "expected a refusal, but it was let through"
    assert flow.response.headers["content-length"] == str(len(flow.response.raw_content or b""))
    return flow.response.status_code, json.loads(flow.response.content or b"")["error"]


def test_a_chat_request_becomes_a_messages_request() -> None:
    flow = asked(openai_organization="o", user_agent="aider", authorization="Bearer k")
    request, exchange = flow.request, record(flow)
    assert flow.response is None
    assert (request.path, exchange.kind) == ("/v1/messages", Kind.MESSAGES)
    assert exchange.path == "/v1/chat/completions?x=1"
    assert json.loads(request.content or b"") == MESSAGE | json.loads(ASKED)
    assert dict(request.headers) == {
        "host": "127.0.0.1:55669",
        "user-agent": "aider",
        "authorization": "Bearer k",
        "content-type": "application/json",
        "content-length": str(len(request.raw_content or b"")),
    }
    assert exchange.answer is not None
    assert exchange.notes == ("seed is not served",)
    assert exchange.client_request is not None
    assert exchange.client_request.body == ASKED


def test_opus_4_5_gets_the_beta_of_effort() -> None:
    flow = asked(b'{"model": "claude-opus-4-5"}')
    assert flow.request.headers["anthropic-beta"] == "effort-2025-11-24"
    assert "anthropic-beta" not in asked(b'{"model": "claude-opus-4-6"}').request.headers


def test_the_session_is_that_of_a_header_or_the_requests_own() -> None:
    assert record(asked()).session_id == "digest"
    assert record(asked(session_id="s")).session_id == "s"
    keyed = b'{"model": "claude-x", "prompt_cache_key": "k"}'
    assert record(asked(keyed, session_id="s")).session_id == "k"


def test_a_messages_request_is_left_alone() -> None:
    flow = asked(b"{}", path="/v1/messages")
    assert (flow.response, flow.request.content) == (None, b"{}")


def test_in_passthrough_nothing_is_translated() -> None:
    flow = asked(runtime=make_runtime(passthrough=True))
    assert (flow.response, flow.request.raw_content) == (None, ASKED)
    assert flow.request.path == "/v1/chat/completions?x=1"


def test_a_bad_request_is_refused_with_its_field() -> None:
    status, refused = error(asked(b'{"role": 1}'))
    assert (status, refused["param"], refused["code"]) == (
        400,
        "messages[0].role",
        "invalid_value",
    )


def test_a_model_that_nobody_serves_is_refused_with_the_lines_that_map_it() -> None:
    flow = asked(b'{"model": "gpt-4o"}')
    status, refused = error(flow)
    assert (status, refused["param"], refused["code"]) == (404, "model", "model_not_found")
    assert record(flow).model == "gpt-4o"
    assert 'from: "gpt-4o"' in refused["message"]


def test_what_is_not_served_is_refused() -> None:
    flow = asked(path="/v1/images/generations")
    assert (error(flow)[0], error(flow)[1]["code"]) == (404, "unknown_url")
    flow = asked(path="/v1/chat/completions", method="GET")
    assert flow.response is not None
    assert (error(flow)[0], flow.response.headers["allow"]) == (405, "POST")


def test_a_websocket_is_refused_and_the_connection_ends() -> None:
    flow = asked(b"", "/v1/responses", "GET", upgrade="websocket", connection="Upgrade")
    assert flow.response is not None
    assert error(flow)[0] == 426
    assert flow.response.headers["upgrade"] == "HTTP/1.1"
    assert "close" in flow.response.headers["connection"]


def test_a_translation_that_breaks_lets_nothing_through() -> None:
    flow = make_flow("POST", "/v1/chat/completions", body=b'{"explode": 1}', api=Api.CHAT)
    with pytest.raises(KeyError):
        OpenAiRequest(make_runtime(), {Api.CHAT: plain_request}).request(flow)
    Route(make_runtime()).request(flow)
    assert flow.response is not None
    assert flow.response.status_code == 500


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "BR": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": bytes,
}


async def packed(body: bytes, coding: str) -> http.HTTPFlow:
    fields = {"content-encoding": coding}
    flow = make_flow("POST", "/v1/chat/completions", fields, body, api=Api.CHAT)
    flow.request.raw_content = body
    waits = OpenAiRequest(make_runtime(), {Api.CHAT: plain_request}).request(flow)
    assert waits is not None
    await waits
    return flow


@pytest.mark.parametrize("coding", PACK)
async def test_a_compressed_body_is_unpacked(coding: str) -> None:
    flow = await packed(PACK[coding](ASKED), coding)
    assert json.loads(flow.request.content or b"") == MESSAGE | json.loads(ASKED)
    assert "content-encoding" not in flow.request.headers


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (ASKED, "compress", 415),
        (ASKED, "gzip, gzip, gzip, gzip", 415),
        (gzip.compress(ASKED)[:-9], "gzip", 400),
        (gzip.compress(bytes(9_000_000), 1), "gzip", 413),
    ],
    ids=["unknown", "too deep", "cut", "bomb"],
)
async def test_a_body_that_cant_be_unpacked(body: bytes, coding: str, status: int) -> None:
    assert error(await packed(body, coding))[0] == status


async def test_a_long_body_is_translated_beside_the_event_loop() -> None:
    long = json.dumps({"model": "claude-x", "user": "x" * 140_000}).encode()
    flow = make_flow("POST", "/v1/chat/completions", body=long, api=Api.CHAT)
    waits = OpenAiRequest(make_runtime(), {Api.CHAT: plain_request}).request(flow)
    assert waits is not None
    await waits
    assert record(flow).kind is Kind.MESSAGES


def respond(runtime: Runtime, key: str, **members: Any) -> http.HTTPFlow:
    body = json.dumps({"model": "claude-sonnet-4-6", "input": "look"} | members).encode()
    fields = {"authorization": f"Bearer {key}"}
    flow = make_flow("POST", "/v1/responses", fields, body, api=Api.RESPONSES)
    save_received_request(flow, flow.request)
    assert OpenAiRequest(runtime).request(flow) is None
    return flow


def retrieved(runtime: Runtime, key: str, id_: str, method: str = "GET") -> http.HTTPFlow:
    fields = {"authorization": f"Bearer {key}"}
    flow = make_flow(method, f"/v1/responses/{id_}", fields, api=Api.OPENAI)
    assert OpenAiRequest(runtime).request(flow) is None
    return flow


def test_responses_are_stored_for_each_client_key() -> None:
    me, other = (ClientKey(name, digest(name), 0) for name in ("me", "other"))
    runtime = make_runtime(clients=(me, other))
    answer = record(respond(runtime, "me")).answer
    assert answer is not None
    id_ = json.loads(answer.whole(b'{"type":"message","content":[]}', "req_nl_1", 0))["id"]
    assert respond(runtime, "me", previous_response_id=id_).response is None
    status, refused = error(respond(runtime, "other", previous_response_id=id_))
    assert (status, refused["code"]) == (404, "previous_response_not_found")
    assert error(retrieved(runtime, "other", id_))[0] == 404
    assert error(retrieved(runtime, "other", id_, "DELETE"))[0] == 404
    response = retrieved(runtime, "me", id_).response
    assert response is not None
    assert json.loads(response.content or b"")["id"] == id_


async def test_a_long_conversation_is_read_beside_the_event_loop() -> None:
    runtime = make_runtime()
    response = json.dumps({"id": "resp_1", "output": []}).encode()
    runtime.memory.keep("", Pending(msgspec.Raw(json.dumps("x" * 200_000).encode())), response, NOW)
    body = b'{"model":"claude-sonnet-4-6","input":"go on","previous_response_id":"resp_1"}'
    flow = make_flow("POST", "/v1/responses", {}, body, api=Api.RESPONSES)
    save_received_request(flow, flow.request)
    waits = OpenAiRequest(runtime).request(flow)
    assert waits is not None
    await waits
    assert record(flow).kind is Kind.MESSAGES


def test_without_client_keys_all_clients_share_one_memory() -> None:
    runtime = make_runtime()
    answer = record(respond(runtime, "me")).answer
    assert answer is not None
    id_ = json.loads(answer.whole(b'{"type":"message","content":[]}', "req_nl_1", 0))["id"]
    assert respond(runtime, "other", previous_response_id=id_).response is None


def test_all_that_is_served_is_translated() -> None:
    assert set(openai_request.TRANSLATORS) <= {Api.CHAT, Api.RESPONSES}
