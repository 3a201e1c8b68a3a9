import json
from typing import Any

import httpx
import pytest

from neurolink_mitm.sandbox.accounts import Account, Reply
from neurolink_mitm.sandbox.app import model, model_list
from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.state import Sandbox
from tests.sandbox.asking import BY_KEY, BY_TOKEN, VERSION, Post, message

TOOL = {"name": "Bash", "input_schema": {"type": "object", "properties": {"c": {"const": 1}}}}


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def test_a_message(post: Post) -> None:
    body = post().json()
    assert body["type"] == "message"
    assert "Account a (API key) answers" in body["content"][0]["text"]


def test_a_streamed_message_says_the_same(post: Post) -> None:
    whole = post().json()["content"][0]["text"]
    deltas = [e["delta"]["text"] for e in events(post(stream=True)) if "text" in e.get("delta", {})]
    assert "".join(deltas) == whole


def test_a_stream_is_not_compressed_or_cached(post: Post) -> None:
    headers = post(stream=True).headers
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert "content-encoding" not in headers


def test_every_answer_has_its_own_ids(post: Post) -> None:
    first, second = post(), post()
    assert first.json()["id"] != second.json()["id"]
    assert first.headers["request-id"] != second.headers["request-id"]


def test_n_deltas_are_n_plus_six_events(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(events=34))
    assert len(events(post(stream=True))) == 40


def test_prerendered_every_answer_is_the_same(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(events=34, prerendered=True))
    first, second = post(stream=True), post(stream=True, system="Other")
    assert first.content == second.content
    assert len(events(first)) == 40


def test_a_tool_is_called_when_it_is_spoken_of(client: httpx.Client) -> None:
    body = client.post("/v1/messages", json=message("Use the tool.", tools=[TOOL])).json()
    (block,) = body["content"]
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "Bash", {"c": 1})
    assert body["stop_reason"] == "tool_use"


def test_a_tools_result_is_answered_in_words(client: httpx.Client) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "tool", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "from the tool"}
    messages = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    body = client.post("/v1/messages", json=message(tools=[TOOL], messages=messages)).json()
    assert (body["content"][0]["type"], body["stop_reason"]) == ("text", "end_turn")


def test_a_subscription_has_unified_limits(client: httpx.Client) -> None:
    del client.headers["x-api-key"]
    response = client.post("/v1/messages", json=message(), headers=BY_TOKEN)
    assert response.headers["anthropic-ratelimit-unified-status"] == "allowed"
    assert "Account o (subscription) answers" in response.text


def test_an_api_key_has_classic_limits(post: Post) -> None:
    assert post().headers["anthropic-ratelimit-requests-remaining"] == "999"


def test_429_is_complete(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(429, headers={"Retry-After": "2"}))
    response = post()
    assert response.status_code == 429
    assert response.headers["retry-after"] == "2"
    assert response.headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert response.json()["error"]["type"] == "rate_limit_error"
    assert response.json()["request_id"] == response.headers["request-id"]


def test_a_script_overrides_the_usual_headers(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(headers={"anthropic-ratelimit-requests-remaining": "7"}))
    headers = post().headers
    assert headers.get_list("anthropic-ratelimit-requests-remaining") == ["7"]


def test_a_page_of_cloudflare_says_nothing_of_limits(sandbox: SandboxServer, post: Post) -> None:
    sandbox.script("a", Reply(502, html=True))
    response = post()
    assert (response.status_code, response.headers["server"]) == (502, "cloudflare")
    assert response.text.startswith("<!DOCTYPE html>")
    assert not any(name.startswith("anthropic-") for name in response.headers)


def test_who_is_unknown_is_refused_and_takes_no_step(
    sandbox: SandboxServer, client: httpx.Client
) -> None:
    response = client.post("/v1/messages", json=message(), headers={"x-api-key": "unknown"})
    assert response.status_code == 401
    assert response.json()["error"] == {
        "type": "authentication_error",
        "message": "invalid x-api-key",
    }
    assert response.json()["request_id"] == response.headers["request-id"]
    assert sandbox.state.served("a") == 0


def test_what_is_invalid_takes_no_step(sandbox: SandboxServer, client: httpx.Client) -> None:
    response = client.post("/v1/messages", content=b"{")
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert sandbox.state.served("a") == 0


def test_the_version_is_asked_for(client: httpx.Client) -> None:
    del client.headers["anthropic-version"]
    response = client.post("/v1/messages", json=message())
    assert response.status_code == 400
    assert "anthropic-version" in response.json()["error"]["message"]


def test_what_is_too_large_is_refused(client: httpx.Client) -> None:
    response = client.post("/v1/messages", content=b"x" * (32 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert response.json()["error"]["type"] == "request_too_large"


@pytest.mark.parametrize("path", ["/nowhere", "/api/event_logging", "/v1"])
def test_an_unknown_path_is_not_found(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"


def test_a_model_of_others_is_not_found(post: Post) -> None:
    response = post(model="gpt-4o")
    assert response.status_code == 404
    assert response.json()["error"] == {"type": "not_found_error", "message": "model: gpt-4o"}


def test_tokens_are_counted(client: httpx.Client) -> None:
    short = client.post("/v1/messages/count_tokens", json=message("x"))
    long = client.post("/v1/messages/count_tokens", json=message("x" * 400))
    assert long.json()["input_tokens"] - short.json()["input_tokens"] == pytest.approx(100, abs=1)


def test_models_are_listed_and_named(client: httpx.Client) -> None:
    first = client.get("/v1/models").json()["data"][0]
    assert client.get(f"/v1/models/{first['id']}").json() == first
    assert client.get("/v1/models/gpt-4o").status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_any_other_path_is_echoed(client: httpx.Client, method: str) -> None:
    response = client.request(method, "/v1/files?beta=true")
    assert response.json() == {
        "type": "echo",
        "method": method,
        "path": "/v1/files?beta=true",
        "account": "a",
        "bytes": 0,
    }


def test_other_paths_follow_the_script_too(sandbox: SandboxServer, client: httpx.Client) -> None:
    sandbox.script("a", Reply(529), Reply())
    assert [client.get("/v1/files").status_code for _ in range(2)] == [529, 200]


def test_other_paths_need_credentials(sandbox: SandboxServer) -> None:
    response = httpx.get(f"{sandbox.url}/v1/files", headers=VERSION)
    assert response.status_code == 401


def test_a_probe_is_answered(client: httpx.Client) -> None:
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")


def test_a_person_is_welcomed(sandbox: SandboxServer, client: httpx.Client) -> None:
    assert f"curl {sandbox.url}/v1/messages" in client.get("/").text


def test_the_way_of_a_request_is_told(sandbox: SandboxServer, client: httpx.Client) -> None:
    sandbox.script("a", Reply(429))
    client.post("/v1/messages", json=message())
    del client.headers["x-api-key"]
    body = client.post("/v1/messages", json=message(), headers=BY_TOKEN).json()
    assert "a answered 429 (rate_limit_error); then o was asked" in body["content"][0]["text"]


class Broken(Sandbox):
    def by_key(self, key: str) -> Account | None:
        raise RuntimeError("broken for the test")


def test_a_fault_of_the_sandbox_says_that_it_is_one() -> None:
    server = SandboxServer()
    server.state = Broken()
    with server, httpx.Client(base_url=server.url, headers=BY_KEY) as client:
        response = client.get("/v1/models")
    assert response.status_code == 500
    assert "The sandbox has a fault: broken for the test" in response.json()["error"]["message"]


def test_the_list_is_one_page() -> None:
    models = model_list()
    ids = [entry["id"] for entry in models["data"]]
    assert (models["first_id"], models["last_id"], models["has_more"]) == (ids[0], ids[-1], False)


def test_a_model_is_named() -> None:
    assert model("claude-opus-4-6")["display_name"] == "Claude Opus 4.6"


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(ApiError, match="model: gpt-4o") as refused:
        model("gpt-4o")
    assert refused.value.status == 404
