"""Conversations of OpenAI's Responses API over the real proxy: resent, and continued by the ids of responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from neurolink_mitm.core.auth.client_keys import ClientKey, digest
from neurolink_mitm.core.openai.responses.stored import Memory
from neurolink_mitm.ports import Runtime
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.flows.harness import LIMIT, MODEL, Proxy, account

TOOL = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    "strict": False,
}
ASK = {
    "model": MODEL,
    "input": "use the tool",
    "tools": [TOOL],
    "reasoning": {"effort": "low"},
}
Json = dict[str, Any]


@pytest.fixture
def proxy(sandbox: SandboxServer) -> Iterator[Proxy]:
    """With two client keys, and a memory of some turns."""

    def change(runtime: Runtime) -> None:
        runtime.clients = tuple(ClientKey(name, digest(name), 0) for name in ("me", "other"))
        runtime.memory = Memory(largest=60_000)

    accounts = [account("a", sandbox.url), account("b", sandbox.url)]
    with Proxy(accounts, change=change) as running:
        yield running


def ask(proxy: Proxy, key: str = "me", **members: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    body = {name: value for name, value in (ASK | members).items() if value is not None}
    return httpx.post(f"{proxy.url}/v1/responses", json=body, headers=headers, timeout=LIMIT)


def respond(proxy: Proxy, **members: Any) -> Json:
    """Return the response object, whole or at the end of its stream."""
    answer = ask(proxy, **members)
    assert answer.status_code == 200, answer.text
    if not members.get("stream"):
        return dict(answer.json())
    last = last_event(answer)
    assert last["type"] == "response.completed"
    return dict(last["response"])


def last_event(answer: httpx.Response) -> Json:
    data = [line for line in answer.text.split("\n") if line.startswith("data: ")]
    return dict(json.loads(data[-1].removeprefix("data: ")))


def stored(proxy: Proxy, path: str, method: str = "GET", key: str = "me") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    url = f"{proxy.url}/v1/responses/{path}"
    return httpx.request(method, url, headers=headers, timeout=LIMIT)


def calls(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "function_call"]


def outputs(response: Json) -> list[Json]:
    return [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "a door"}
        for call in calls(response)
    ]


def sent(sandbox: SandboxServer) -> Json:
    """Return the last request that upstream got."""
    return dict(json.loads(sandbox.requests[-1].body))


def is_unknown(answer: httpx.Response) -> bool:
    return (
        answer.status_code == 404
        and answer.json()["error"]["code"] == "previous_response_not_found"
    )


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_conversation_goes_on_by_ids(proxy: Proxy, sandbox: SandboxServer, stream: bool) -> None:
    sandbox.script("a", Reply(status=429, error_type="rate_limit_error"))
    first = respond(proxy, stream=stream, instructions="old")
    second = respond(
        proxy,
        stream=stream,
        previous_response_id=first["id"],
        input=outputs(first),
        instructions="new",
    )
    request = sent(sandbox)
    assert [turn["role"] for turn in request["messages"]] == ["user", "assistant", "user"]
    kinds = [block["type"] for block in request["messages"][1]["content"]]
    assert kinds == ["thinking", "tool_use"], "its signature is checked by the sandbox"
    assert [block["text"] for block in request["system"]] == ["new"]
    assert (second["previous_response_id"], second["status"]) == (first["id"], "completed")
    third = respond(proxy, stream=stream, previous_response_id=second["id"], input="thanks")
    assert len(sent(sandbox)["messages"]) == 5
    assert stored(proxy, third["id"]).json() == third
    page = stored(proxy, f"{third['id']}/input_items").json()
    assert page["data"][0]["content"] == [{"type": "input_text", "text": "thanks"}]


def test_a_conversation_is_resent_with_its_reasoning(proxy: Proxy, sandbox: SandboxServer) -> None:
    asked = [{"role": "user", "content": ASK["input"]}]
    first = respond(proxy, stream=True, store=False, input=asked)
    resent = [*asked, *first["output"], *outputs(first)]
    respond(proxy, stream=True, store=False, input=resent)
    [_, turn, last] = sent(sandbox)["messages"]
    assert [block["type"] for block in turn["content"]] == ["thinking", "tool_use"]
    assert last["content"][0]["tool_use_id"] == calls(first)[0]["call_id"]
    assert is_unknown(ask(proxy, previous_response_id=first["id"], input="go on"))
    assert len(proxy.runtime.memory) == 0


def test_items_are_referred_to_by_their_ids(proxy: Proxy, sandbox: SandboxServer) -> None:
    first = respond(proxy)
    references = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    asked = [{"role": "user", "content": ASK["input"]}, *references, *outputs(first)]
    second = respond(proxy, input=asked)
    kinds = [block["type"] for block in sent(sandbox)["messages"][1]["content"]]
    assert kinds == ["thinking", "tool_use"]
    stored(proxy, first["id"], "DELETE")
    respond(proxy, previous_response_id=second["id"], input="go on")
    answer = ask(proxy, input=asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "input[1]")


def test_a_response_is_its_clients_alone(proxy: Proxy, sandbox: SandboxServer) -> None:
    id_ = respond(proxy)["id"]
    count = len(sandbox.requests)
    assert is_unknown(ask(proxy, key="other", previous_response_id=id_, input="go on"))
    for method, path in (("GET", id_), ("GET", f"{id_}/input_items"), ("DELETE", id_)):
        answer = stored(proxy, path, method, key="other")
        assert (answer.status_code, "error" in answer.json()) == (404, True)
    assert stored(proxy, id_, key="nobody").status_code == 401
    assert len(sandbox.requests) == count, "nothing of it was sent"
    assert stored(proxy, id_, "DELETE").json()["deleted"] is True
    assert is_unknown(ask(proxy, previous_response_id=id_, input="go on"))


def test_the_memory_is_bounded(proxy: Proxy, sandbox: SandboxServer) -> None:
    large = respond(proxy, input="x" * 70_000)["id"]
    first, *others = (respond(proxy, input=f"{n}" * 20_000)["id"] for n in range(4))
    assert proxy.runtime.memory.size <= 60_000
    for id_ in (large, first):
        assert is_unknown(ask(proxy, previous_response_id=id_, input="go on"))
    assert ask(proxy, previous_response_id=others[-1], input="go on").status_code == 200


def test_a_failed_answer_is_not_kept(proxy: Proxy, sandbox: SandboxServer) -> None:
    for name in ("a", "b"):
        sandbox.script(name, Reply(cut_after=4), loop=True)
    last = last_event(ask(proxy, stream=True))
    assert last["type"] == "response.failed"
    assert len(proxy.runtime.memory) == 0
    assert stored(proxy, last["response"]["id"]).status_code == 404


def test_an_abandoned_answer_is_not_kept(proxy: Proxy, sandbox: SandboxServer) -> None:
    sandbox.script("a", Reply(stall_after=4))
    headers = {"authorization": "Bearer me"}
    body = ASK | {"stream": True}
    url = f"{proxy.url}/v1/responses"
    with httpx.stream("POST", url, json=body, headers=headers, timeout=LIMIT) as answer:
        next(answer.iter_bytes())
    proxy.rows.wait()
    assert len(proxy.runtime.memory) == 0
