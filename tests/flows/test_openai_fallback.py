"""Other tools' requests where another provider answers, and what its trouble looks like to them."""

from __future__ import annotations

import json

import pytest

from neurolink_mitm.core.settings.values import ModelMapping, Routing
from tests.flows.fallen import Setting
from tests.flows.openai_client import CHAT, RESPONSES, Client, data, error_of, text_of
from tests.lookalikes.script import fail
from tests.translator.providers import KINDS

OPENAI = KINDS["chat"]
MAPPED = Routing(model_mappings=(ModelMapping("gpt-4o*", OPENAI.model, "openai"),))


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_a_chat_goes_on_with_another_provider(fallen: Setting, stream: bool) -> None:
    them = fallen(OPENAI)
    them.limit()
    with Client(them.proxy, them.sandbox) as client:
        answer = client.ask(stream=stream)
        [row] = client.rows()
    assert answer.headers["x-neurolink-account"] == f"openai/{OPENAI.model}"
    whole = text_of(answer.content) if stream else answer.text
    assert "You said: " in whole
    assert "say hi" in whole
    assert (row.provider, row.outcome, row.attempts) == ("openai", "complete", 3)
    assert all(asked.startswith("/v1/messages ") for asked in them.asked.seen)


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_model_that_is_mapped_to_another_provider(fallen: Setting, path: str) -> None:
    them = fallen(OPENAI, routing=MAPPED)
    with Client(them.proxy, them.sandbox) as client:
        answer = client.ask(path, model="gpt-4o-mini")
        last = data(answer.content)[-1]
        assert last == "[DONE]" or last["type"] == "response.completed", last
        them.lookalikes["openai"].script.add(fail(400, "Invalid schema for function 'f'"))
        answer = client.ask(path, model="gpt-4o-mini", stream=False)
    assert answer.status_code == 400, json.dumps(answer.text)
    assert error_of(answer.content)["type"] == "invalid_request_error"
