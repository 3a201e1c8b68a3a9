from __future__ import annotations

import json

import pytest

from bench.forms import CHAT
from bench.payloads import REQUEST_BYTES, Kind, Pace, answer, kind_of, session_id
from neurolink_mitm.core.openai.chat.answer import ChatAnswer
from neurolink_mitm.core.openai.editors import editor


@pytest.mark.parametrize("kind", ["streamed", "coalesced", "whole"])
def test_a_chat_answer_is_read(kind: Kind) -> None:
    streamed = kind != "whole"
    made = editor(
        ChatAnswer("claude-x"), "r", 1, upstream_streams=streamed, client_streams=streamed
    )
    body = made.feed(answer(kind, Pace())) + made.end()
    assert CHAT.read(body) == CHAT.expected(kind, Pace())
    if streamed:
        assert CHAT.read(body.removesuffix(b"data: [DONE]\n\n")) != CHAT.expected(kind, Pace())


def test_a_chat_request_has_the_conversation() -> None:
    head, _, body = CHAT.request(1, "streamed", Pace(), session_id(0)).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions ")
    fields = json.loads(body)
    assert len(body) > REQUEST_BYTES
    assert [message["role"] for message in fields["messages"]] == ["system", "system", "user"]
    assert len(fields["tools"]) == 109


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"model":"claude-x","max_tokens":32000,"stream":true,', "streamed"),
        (b'{"model":"claude-x","max_tokens":32001,"stream":true,', "coalesced"),
        (b'{"model":"claude-x","max_tokens":32000,"system":[]', "whole"),
        (b'{"model":"claude-x","max_tokens":5,"stream":true,', None),
    ],
)
def test_upstream_knows_what_a_translated_request_wants(body: bytes, kind: Kind | None) -> None:
    assert kind_of(body) == kind
