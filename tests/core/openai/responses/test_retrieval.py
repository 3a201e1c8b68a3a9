from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.openai.responses.retrieval import is_retrieval, retrieve
from neurolink_mitm.core.openai.responses.stored import Memory, Pending

RESPONSE = b'{"id":"resp_a","object":"response","output":[]}'
INPUT = [
    {"role": "user", "content": "look"},
    {"type": "message", "role": "assistant", "content": "at", "id": "msg_own", "phase": None},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "1"},
]


def memory(given: object = INPUT) -> Memory:
    made = Memory()
    made.keep("me", Pending(msgspec.Raw(json.dumps(given).encode())), RESPONSE, 0)
    return made


def asked(method: str, target: str, given: object = INPUT, client: str = "me") -> Any:
    return json.loads(retrieve(memory(given), client, method, target, 1))


def test_only_these_are_retrievals() -> None:
    assert is_retrieval("GET", "/v1/responses/resp_a?x")
    assert is_retrieval("DELETE", "/v1/responses/resp_a")
    assert not is_retrieval("POST", "/v1/responses/resp_a/cancel")
    assert not is_retrieval("GET", "/v1/responses")


def test_a_response_is_returned_as_it_was() -> None:
    assert retrieve(memory(), "me", "GET", "/v1/responses/resp_a?include[]=x", 1) == RESPONSE


def test_a_deleted_response_is_a_404() -> None:
    stored = memory()
    answer = json.loads(retrieve(stored, "me", "DELETE", "/v1/responses/resp_a", 1))
    assert answer == {"id": "resp_a", "object": "response", "deleted": True}
    for method in ("GET", "DELETE"):
        with pytest.raises(RequestError, match="Response with id 'resp_a' not found"):
            retrieve(stored, "me", method, "/v1/responses/resp_a", 1)


def test_input_items_come_last_first_each_with_an_id_and_in_full() -> None:
    page = asked("GET", "/v1/responses/resp_a/input_items")
    items = page["data"]
    assert [item["type"] for item in items][::-1] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
    ]
    assert items[-1]["content"] == [{"type": "input_text", "text": "look"}]
    assert items[-2]["content"] == [{"type": "output_text", "text": "at", "annotations": []}]
    assert items[-2]["id"] == "msg_own"
    assert len({item["id"] for item in items}) == 4
    assert (page["first_id"], page["last_id"]) == (items[0]["id"], items[-1]["id"])
    assert (page["object"], page["has_more"]) == ("list", False)


def test_an_input_of_text_is_a_message() -> None:
    [item] = asked("GET", "/v1/responses/resp_a/input_items", "look")["data"]
    assert item["id"].startswith("msg_")
    assert (item["type"], item["role"], item["status"]) == ("message", "user", "completed")
    assert item["content"] == [{"type": "input_text", "text": "look"}]


def test_the_list_comes_in_pages() -> None:
    path = "/v1/responses/resp_a/input_items?order=asc&limit=3"
    first = asked("GET", path)
    rest = asked("GET", f"{path}&after={first['last_id']}")
    assert (len(first["data"]), first["has_more"]) == (3, True)
    assert ([item["type"] for item in rest["data"]], rest["has_more"]) == (
        ["function_call_output"],
        False,
    )
    empty = asked("GET", f"{path}&after={rest['last_id']}")
    assert (empty["data"], empty["first_id"]) == ([], None)


@pytest.mark.parametrize(
    ("method", "below", "status", "param"),
    [
        pytest.param("GET", "resp_b", 404, None, id="unknown"),
        pytest.param("GET", "resp_a/input", 404, None, id="another path"),
        pytest.param("POST", "resp_a/cancel", 404, None, id="cancel"),
        pytest.param("POST", "resp_a", 404, None, id="another method"),
        pytest.param("DELETE", "resp_a/input_items", 404, None, id="deleted items"),
        pytest.param("GET", "", 404, None, id="no id"),
        pytest.param("GET", "resp_a?stream=true", 400, "stream", id="streamed"),
        pytest.param("GET", "resp_a/input_items?limit=0", 400, "limit", id="no items"),
        pytest.param("GET", "resp_a/input_items?limit=x", 400, "limit", id="no number"),
        pytest.param("GET", "resp_a/input_items?limit=" + "9" * 9999, 400, "limit", id="huge"),
        pytest.param("GET", "resp_a/input_items?order=up", 400, "order", id="order"),
        pytest.param("GET", "resp_a/input_items?after=x", 400, "after", id="after"),
    ],
)
def test_anything_else_is_refused(method: str, below: str, status: int, param: str | None) -> None:
    with pytest.raises(RequestError) as e:
        asked(method, f"/v1/responses/{below}")
    assert (e.value.status, e.value.param) == (status, param)


def test_another_client_gets_nothing() -> None:
    for method, below in (("GET", ""), ("DELETE", ""), ("GET", "/input_items")):
        with pytest.raises(RequestError) as e:
            asked(method, f"/v1/responses/resp_a{below}", client="other")
        assert e.value.status == 404
