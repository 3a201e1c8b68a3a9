from __future__ import annotations

import json

from neurolink_mitm.core.openai.claude import claude_traits
from neurolink_mitm.core.openai.responses.answer import ResponsesAnswer
from neurolink_mitm.core.openai.responses.stored import Memory
from neurolink_mitm.core.openai.responses.storing import StoredAnswer, storing_translator

STOP = b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}'
EVENTS = (
    ("message_start", b'{"type":"message_start","message":{"usage":{"input_tokens":1}}}'),
    ("content_block_start", b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'),
    ("content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}'),
    ("content_block_stop", b'{"type":"content_block_stop","index":0}'),
    ("message_delta", STOP),
    ("message_stop", b'{"type":"message_stop"}'),
)  # fmt: skip
MESSAGE = (
    b'{"type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],'
    b'"stop_reason":"max_tokens","usage":{"input_tokens":1,"output_tokens":1}}'
)


def test_a_stream_is_stored_once_when_it_is_complete() -> None:
    kept: list[bytes] = []
    writer = StoredAnswer(ResponsesAnswer("m"), kept.append).stream("req_nl_1", 0)
    written = [writer.event(name, data) for name, data in EVENTS[:-1]]
    assert kept == []
    last = writer.event(*EVENTS[-1])
    writer.event(*EVENTS[-1])
    writer.end()
    assert b"response.created" in written[0]
    assert len(kept) == 1
    assert kept[0] in last


def test_a_stream_that_fails_is_not_stored() -> None:
    kept: list[bytes] = []
    answer = StoredAnswer(ResponsesAnswer("m"), kept.append)
    cut = answer.stream("req_nl_1", 0)
    cut.event(*EVENTS[0])
    assert b"response.failed" in cut.end()
    failed = answer.stream("req_nl_2", 0)
    failed.event("error", b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}')
    failed.end()
    assert kept == []


def test_a_whole_answer_is_stored_also_one_that_is_incomplete() -> None:
    kept: list[bytes] = []
    response = StoredAnswer(ResponsesAnswer("m"), kept.append).whole(MESSAGE, "req_nl_1", 0)
    assert kept == [response]
    assert b'"incomplete"' in response


def test_the_next_request_of_a_client_goes_on_with_its_response() -> None:
    memory = Memory()
    translate = storing_translator(memory, "me", lambda: 5.0)
    body = {"model": "claude-sonnet-4-6", "input": "look"}
    first = translate(json.dumps(body).encode(), claude_traits)
    response = json.loads(first.answer.whole(MESSAGE, "req_nl_1", 0))
    more = {**body, "previous_response_id": response["id"], "input": "go on"}
    second = json.loads(translate(json.dumps(more).encode(), claude_traits).body)
    assert [turn["content"][0]["text"] for turn in second["messages"]] == ["look", "hi", "go on"]


def test_a_response_is_not_stored_where_the_client_says_so() -> None:
    memory = Memory()
    body = b'{"model":"claude-sonnet-4-6","input":"look","store":false}'
    made = storing_translator(memory, "me", lambda: 5.0)(body, claude_traits)
    made.answer.whole(MESSAGE, "req_nl_1", 0)
    assert len(memory) == 0
