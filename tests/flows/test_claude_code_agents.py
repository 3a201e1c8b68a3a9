"""Whose requests Claude Code's agents are: it names them itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.journal import encode
from neurolink_mitm.records.row_reader import LoggedRequest, RowReader
from neurolink_mitm.records.stats import Stats, flat
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests import claude_cli as claude_code
from tests.flows.harness import Proxy, account

pytestmark = pytest.mark.real("npm")

TASK = {"description": "greet", "prompt": "say hi", "subagent_type": "general-purpose"}
USAGE = {"input_tokens": 11, "output_tokens": 20}
HEAD = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
        "content": [], "stop_reason": None, "stop_sequence": None, "usage": USAGE}  # fmt: skip
CALL = {"type": "tool_use", "id": "toolu_1", "name": "Agent", "input": {}}
STARTS_AN_AGENT: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": HEAD},
    {"type": "content_block_start", "index": 0, "content_block": CALL},
    {"type": "content_block_delta", "index": 0,
     "delta": {"type": "input_json_delta", "partial_json": json.dumps(TASK)}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": USAGE},
    {"type": "message_stop"},
)  # fmt: skip


def streamed(*events: dict[str, Any]) -> Reply:
    body = "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in events)
    return Reply(body=body.encode(), content_type="text/event-stream")


def test_an_agent_that_starts_an_agent(sandbox: SandboxServer, tmp_path: Path) -> None:
    """Its main agent has no id; the others are below the one that started them."""
    claude = claude_code.installed()
    start = streamed(*STARTS_AN_AGENT)
    sandbox.script("a", start, start, Reply())
    with Proxy([account("a", sandbox.url)]) as proxy:
        claude_code.say_hi(claude, tmp_path, ANTHROPIC_BASE_URL=proxy.url)
        rows = [row for row in proxy.rows.wait() if row.path.startswith("/v1/messages")]
    stats = Stats("agent")
    stats.add(RowReader().read(map(encode, rows), LoggedRequest))
    main, child, grandchild = flat("agent", stats)
    assert main["agent"] == f"main of {rows[0].sessionId}"
    assert (child["parent"], grandchild["parent"]) == (main["agent"], child["agent"])
    assert main["treeInputTokens"] == sum(row.inputTokens or 0 for row in rows)
    assert main["treeRequests"] == len(rows)
