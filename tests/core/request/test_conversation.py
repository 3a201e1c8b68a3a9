from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request import json_spans
from neurolink_mitm.core.request.body import read_body
from neurolink_mitm.core.request.conversation import FOREIGN_SIGNATURE, read_conversation
from neurolink_mitm.sandbox.errors import ApiError
from neurolink_mitm.sandbox.history import check_history

TEXT: dict[str, Any] = {"type": "text", "text": "hi"}
USE: dict[str, Any] = {"type": "tool_use", "id": "t1", "name": "ls", "input": {}}
RESULT: dict[str, Any] = {"type": "tool_result", "tool_use_id": "t1", "content": "ok"}
SERVER: dict[str, Any] = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "x", "input": {}}
SERVER_RESULT = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
USER = {"role": "user", "content": "hi"}


def turn(*blocks: Any, role: str = "assistant") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def body_of(*messages: Any) -> bytes:
    return json.dumps({"messages": list(messages)}).encode()


GOOD: dict[str, list[Any]] = {
    "words": [USER],
    "no content": [{"role": "user"}],
    "a round of tools": [turn(USE), turn(RESULT, role="user")],
    "two calls": [turn(USE, USE | {"id": "t2"})],
    "a text that begins in white space": [turn(TEXT | {"text": "\n\u3000so"}), USER],
    "an escape that is no white space": [turn(TEXT | {"text": "\u00e9"}), USER],
    "a text without the member": [turn({"type": "text"}), USER],
    "blank text in a result": [turn(USE), turn(RESULT | {"content": [TEXT | {"text": ""}]}, role="user")],
    "Anthropic's own tool": [turn(SERVER, SERVER_RESULT), USER],
    "a connector's tool": [turn({"type": "mcp_tool_use", "id": "m.1"},
                                {"type": "mcp_tool_result", "tool_use_id": "m.1"})],
    "a block of tomorrow": [turn({"type": "dream", "text": ""})],
    "a long id": [turn(USE | {"id": "x" * 64})],
    "white space before the end": [turn(TEXT | {"text": "so "}), USER],
    "white space at the user's end": [turn(TEXT | {"text": "so "}, role="user")],
}  # fmt: skip
BAD: dict[str, list[Any]] = {
    "an id twice": [turn(USE), turn(RESULT, role="user"), turn(USE), turn(RESULT, role="user")],
    "an id twice in a turn": [turn(USE, USE)],
    "an id of another form": [turn(USE | {"id": "functions.ls:0"})],
    "a result of another form": [turn(RESULT | {"tool_use_id": "functions.ls:0"}, role="user")],
    "too long an id": [turn(USE | {"id": "x" * 65})],
    "an empty text": [turn(TEXT | {"text": ""}), USER],
    "a blank text": [turn(TEXT | {"text": "\n\n"}, USE), USER],
    "blanks of other scripts": [turn(TEXT | {"text": "\u00a0\u1680\u2003\u205f\u3000"}), USER],
    "a blank text of the user's": [turn(TEXT | {"text": " "}, TEXT, role="user")],
    "a blank string": [{"role": "assistant", "content": " \n"}, USER],
    "an empty string": [{"role": "assistant", "content": ""}, USER],
    "an empty message": [turn(), USER],
    "an input in a string": [turn(USE | {"input": "{}"})],
    "no input": [turn({"type": "tool_use", "id": "t1", "name": "ls"})],
    "another server's tool": [turn(SERVER | {"id": "call_1"}), USER],
    "its result": [turn(SERVER_RESULT | {"tool_use_id": "call_1"}), USER],
    "our signature": [turn({"type": "thinking", "thinking": "hm", "signature": f"{FOREIGN_SIGNATURE}x"}), USER],
    "white space at the end": [USER, turn(TEXT | {"text": "so "})],
    "white space at the end of a string": [USER, {"role": "assistant", "content": "so\n"}],
    "and a word of the system's behind": [turn(TEXT | {"text": "so "}), {"role": "system", "content": "x"}],
}  # fmt: skip
CASES = {name: (messages, name in GOOD) for name, messages in (GOOD | BAD).items()}


@pytest.mark.parametrize(("messages", "acceptable"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "utf-8"])
def test_what_anthropic_accepts(messages: list[Any], acceptable: bool, ascii_only: bool) -> None:
    body = json.dumps({"messages": messages}, ensure_ascii=ascii_only).encode()
    assert read_conversation(body).acceptable == acceptable


@pytest.mark.parametrize(("messages", "acceptable"), CASES.values(), ids=CASES)
def test_and_so_of_a_long_body(
    messages: list[Any], acceptable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_spans, "LARGE", 20)
    monkeypatch.setattr(json_spans, "_GROUP", 10)
    assert read_conversation(body_of(*messages)).acceptable == acceptable


def test_ids_are_compared_as_they_are_meant() -> None:
    body = b'{"messages":[{"content":[%s,%s]}]}'
    use = b'{"type":"tool_use","id":"%s","input":{}}'
    assert not read_conversation(body % (use % b"ab", use % b"a\\u0062")).acceptable
    assert read_conversation(body % (use % b"ab", use % b"a\\u0063")).acceptable


@pytest.mark.parametrize("name", ["text", "id", "tool_use_id", "signature"])
@pytest.mark.parametrize("kind", ["text", "tool_use", "tool_result", "thinking"])
def test_what_is_no_utf_8_is_left_to_anthropic(kind: str, name: str) -> None:
    block = b'{"type":"%s","%s":"\\n\xff","input":{}}' % (kind.encode(), name.encode())
    body = b'{"model":"m","messages":[{"role":"user","content":[%s]}]}' % block
    index = read_body(body).index
    assert index is not None
    with suppress(ValueError):
        index.sanitized()


BLOCKS = st.sampled_from(
    [TEXT, TEXT | {"text": " "}, TEXT | {"text": "so\n"}, USE, USE | {"id": "a.b"}, SERVER, SERVER | {"id": "x"}]
)  # fmt: skip
CONTENTS = st.sampled_from(["", " ", "hi", "hi "]) | st.lists(BLOCKS, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), CONTENTS), max_size=4))
def test_what_is_acceptable_is_accepted_but_for_missing_results(turns: list[Any]) -> None:
    body = body_of(*({"role": role, "content": content} for role, content in turns))
    refusal = ""
    try:
        check_history(body)
    except ApiError as e:
        refusal = e.message
    if read_conversation(body).acceptable:
        assert refusal == "" or "without `tool_result`" in refusal
