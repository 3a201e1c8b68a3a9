from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.openai.chat.thinking import (
    redacted_detail,
    text_detail,
    thinking_block,
    thinking_blocks,
)

THINKING = {"type": "thinking", "thinking": 'a "b"\n', "signature": "EqQB"}
REDACTED = {"type": "redacted_thinking", "data": "x/y="}


def read(details: Any, blocks: Any = None) -> list[Any]:
    found = thinking_blocks(msgspec.json.encode(details), msgspec.json.encode(blocks))
    return [json.loads(block) for block in found]


def test_what_is_written_is_read_again() -> None:
    first = text_detail(0, msgspec.json.encode(THINKING["thinking"]), b'"EqQB"')
    second = redacted_detail(1, b'"x/y="')
    assert read([json.loads(first), json.loads(second)]) == [THINKING, REDACTED]


@pytest.mark.parametrize(
    ("item", "block"),
    [
        pytest.param({**THINKING, "index": 0, "cache_control": None}, THINKING, id="LiteLLM's"),
        pytest.param({**REDACTED, "x": [1]}, REDACTED, id="LiteLLM's, redacted"),
        pytest.param(
            {"type": "reasoning.text", "text": None, "signature": "s"},
            {"type": "thinking", "thinking": "", "signature": "s"},
            id="omitted words",
        ),
        pytest.param({"type": "reasoning.text", "text": "a", "signature": None}, None, id="unsigned"),
        pytest.param({"type": "reasoning.text", "text": "a", "signature": ""}, None, id="no signature"),
        pytest.param({"type": "reasoning.summary", "summary": "a", "signature": "s"}, None, id="summary"),
        pytest.param(
            {"type": "reasoning.encrypted", "data": "x", "format": "openai-responses-v1"},
            None,
            id="OpenAI's",
        ),
        pytest.param({"type": "redacted_thinking", "data": 7}, None, id="no text"),
        pytest.param({"type": ["thinking"], "signature": "s"}, None, id="odd type"),
        pytest.param("some words", None, id="words"),
        pytest.param(None, None, id="null"),
    ],
)  # fmt: skip
def test_items_of_other_clients(item: Any, block: Any) -> None:
    found = thinking_block(msgspec.json.encode(item))
    assert (json.loads(found) if found else None) == block


def test_details_come_before_the_blocks_of_litellm() -> None:
    detail = json.loads(redacted_detail(0, b'"first"'))
    assert read([detail], [REDACTED]) == [{"type": "redacted_thinking", "data": "first"}]
    assert read("words of opencode", [REDACTED]) == [REDACTED]
    assert read({"not": "a list"}) == []
    assert thinking_blocks(b"[{") == []
