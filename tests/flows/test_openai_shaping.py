"""Words that shaping keeps here, in requests of OpenAI's forms: upstream sees none of them, the client all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.sandbox import Reply
from tests.core.shaping.test_restoring import split
from tests.flows.openai_client import CHAT, RESPONSES, Client, data, error_of, serving, text_of
from tests.flows.test_shaping import Unable, placeholder, streamed, thought_and_used

QUOTED = 'blue "bird"\\'
SECRETS = ("bluebird", "bob@mail.example", "db1.corp.example")
WORDS = shaping.WordObfuscator(
    True, ("bluebird", QUOTED), detectors=("email",), domains=("corp.example",)
)
CONFIG = Config(cloaking=Cloaking("always", Plugins(word_obfuscator=WORDS)))
SAID = ", ".join(SECRETS)
ECHO = f"to {placeholder('bluebird')}."
"""What upstream says, and what the client is to read: `to bluebird.`"""
EVENTS = "text/event-stream"
FUNCTION = {"name": "find", "description": SAID, "parameters": {"type": "object", "properties": {}}}
CALL = {"name": "find", "arguments": json.dumps({"q": QUOTED + SAID})}
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {
        "messages": [
            {"role": "developer", "content": SAID},
            {"role": "user", "content": [{"type": "text", "text": SAID}]},
            {
                "role": "assistant",
                "tool_calls": [{"id": "c1", "type": "function", "function": CALL}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": SAID},
        ],
        "tools": [{"type": "function", "function": FUNCTION}],
        "user": SAID,
    },
    RESPONSES: {
        "instructions": SAID,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": SAID}]},
            {"type": "function_call", "call_id": "c1", **CALL},
            {"type": "function_call_output", "call_id": "c1", "output": SAID},
        ],
        "tools": [{"type": "function", **FUNCTION}],
    },
}


@pytest.fixture(scope="module")
def served() -> Iterator[Client]:
    with serving("a", config=CONFIG) as client:
        yield client


@pytest.fixture
def client(served: Client) -> Client:
    return served.fresh()


def ask(client: Client, path: str, body: bytes, **fields: Any) -> bytes:
    """Answered by upstream with `body`; none of the words came there."""
    kind = "application/json" if body.startswith(b"{") else EVENTS
    client.sandbox.script("a", Reply(body=body, content_type=kind))
    answer = client.ask(path, **ASKED[path], **fields)
    assert answer.status_code == 200, answer.text
    sent = client.seen[-1].body.decode()
    assert [secret for secret in (*SECRETS, QUOTED[:6]) if secret in sent] == []
    return answer.content


def whole(text: str) -> bytes:
    return json.dumps({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 1, "output_tokens": 1},
    }).encode()  # fmt: skip


def test_a_placeholder_cut_anywhere_comes_back_in_chat(client: Client) -> None:
    for cut in range(0, len(ECHO) + 1, 2):
        assert text_of(ask(client, CHAT, streamed(split(ECHO, [cut])))) == "to bluebird."


def test_and_in_all_events_of_a_response(client: Client) -> None:
    for cut in range(0, len(ECHO) + 1, 5):
        events = data(ask(client, RESPONSES, streamed(split(ECHO, [cut]))))
        deltas = [e["delta"] for e in events if e["type"] == "response.output_text.delta"]
        assert "".join(deltas) == "to bluebird."
        [done] = [e for e in events if e["type"] == "response.output_text.done"]
        message = events[-1]["response"]["output"][0]
        assert done["text"] == message["content"][0]["text"] == "to bluebird."


def test_the_arguments_of_calls_come_back(client: Client) -> None:
    """Whatever is in them needs its escapes; the thinking is left as it is, as it is signed."""
    hidden = placeholder(QUOTED)
    written = json.dumps({"path": f"/srv/{hidden}/a"})
    for cut in range(0, len(written), 7):
        body = thought_and_used(hidden, split(written, [cut, cut + 1]))
        chunks = [e["choices"][0]["delta"] for e in data(ask(client, CHAT, body))[:-1]]
        calls = [call for delta in chunks for call in delta.get("tool_calls") or ()]
        arguments = "".join(call["function"].get("arguments") or "" for call in calls)
        assert json.loads(arguments) == {"path": f"/srv/{QUOTED}/a"}
        assert "".join(delta.get("reasoning_content") or "" for delta in chunks) == hidden
    events = data(ask(client, RESPONSES, body))
    [done] = [e for e in events if e["type"] == "response.function_call_arguments.done"]
    [item] = [each for each in events[-1]["response"]["output"] if each["type"] == "function_call"]
    assert done["arguments"] == item["arguments"]
    assert json.loads(item["arguments"]) == {"path": f"/srv/{QUOTED}/a"}


def test_whole_answers(client: Client) -> None:
    answer = json.loads(ask(client, CHAT, whole(ECHO), stream=False))
    assert answer["choices"][0]["message"]["content"] == "to bluebird."
    answer = json.loads(ask(client, RESPONSES, whole(ECHO), stream=False))
    assert answer["output"][0]["content"][0]["text"] == "to bluebird."


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_the_words_of_errors(client: Client, path: str) -> None:
    client.sandbox.script("a", Reply(400, message=f"{placeholder('bluebird')}: no such tool"))
    answer = client.ask(path, **ASKED[path])
    assert answer.status_code == 400
    assert error_of(answer.content)["message"] == "bluebird: no such tool"


@pytest.fixture(scope="module")
def unable() -> Iterator[Client]:
    """A proxy with a plugin that can't put answers right again."""
    with serving("a", config=CONFIG, plugins=[("mine", Unable())]) as client:
        yield client


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_plugin_that_fails_on_the_answer_ends_it_with_an_error(
    unable: Client, path: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    answer = unable.fresh().ask(path, **ASKED[path], stream=stream)
    if not stream:
        assert unable.rows()[0].outcome == "error"
        assert answer.status_code >= 500
        assert error_of(answer.content)["type"] == "server_error"
    else:
        last = data(answer.content)[-1]
        assert "a plugin failed" in json.dumps(last)
    assert "a plugin's undo failed (KeyError)" in caplog.text
