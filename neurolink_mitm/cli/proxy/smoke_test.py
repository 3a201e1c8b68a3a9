"""The smoke test of a proxy that was just set up: one request, and which account answers it.

An account with an API key is asked directly. A subscription serves Claude Code only, so Claude Code asks, if it is
installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurolink_mitm import __version__
from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.running import admin_headers
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.text import redact

LIMIT = 120.0
"""Seconds until an answer has to be there."""
MODEL = "claude-haiku-4-5-20251001"
"""The cheapest model."""
QUESTION = "Say hi."


class SmokeTestError(Exception):
    """Why there was no answer, in one line."""


@dataclass(frozen=True, slots=True)
class SmokeTestResult:
    """Which account has answered, and who asked."""

    account: str
    by_claude_code: bool = False
    lent: bool = False
    """Whether Claude Code asked with a token of ours: without a login of its own it sends nothing."""


def smoke_test(
    state: ProxyState, accounts: Sequence[Account], *, guarded: bool
) -> SmokeTestResult | None:
    """Send the request; None if nobody may ask. `guarded`: callers must show a key. Raises `SmokeTestError`."""
    if any(account.type == "api_key" for account in accounts):
        return _ask(state, state.admin_token if guarded else None)
    claude = shutil.which("claude")
    return _ask_by(claude, state) if claude else None


def _ask(state: ProxyState, key: str | None) -> SmokeTestResult:
    body = {
        "model": MODEL,
        "max_tokens": 16,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    headers = {"content-type": "application/json", "user-agent": f"neurolink/{__version__}"}
    if key:
        headers["x-api-key"] = key
    response = http_client.ask(
        f"{state.url}/v1/messages", None, headers, post=json.dumps(body).encode(), timeout=LIMIT
    )
    if response.error:
        raise SmokeTestError(f"{state.url} does not answer: {response.error}")
    if response.status != 200:
        raise SmokeTestError(f"{response.status}, {redact(_message(response.document))}")
    return SmokeTestResult(response.headers.get("x-neurolink-account") or "?")


def _message(document: Mapping[str, Any]) -> str:
    error = document.get("error")
    return str(error.get("message")) if isinstance(error, dict) else "without a message"


def _ask_by(claude: str, state: ProxyState) -> SmokeTestResult:
    """Let Claude Code ask as it is; again with a token that opens the proxy, should nothing have come there."""
    before = _accounts(state)
    output = _run(claude, {})
    lent = _accounts(state) == before
    if lent:
        output = _run(claude, {"ANTHROPIC_AUTH_TOKEN": state.admin_token})
    after = _accounts(state)
    for label, (_, answered) in after.items():
        if answered > before.get(label, (0, 0))[1]:
            return SmokeTestResult(label, by_claude_code=True, lent=lent)
    raise SmokeTestError(f"{claude} -p: {redact(output)}")


def _run(claude: str, more: Mapping[str, str]) -> str:
    """Return the last line of its output."""
    try:
        done = subprocess.run(
            [claude, "-p", QUESTION],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT, check=False,
            env={**os.environ, **more},
        )  # fmt: skip
    except subprocess.TimeoutExpired as e:
        raise SmokeTestError(f"{claude} did not end within {LIMIT:.0f} s") from e
    except OSError as e:
        raise SmokeTestError(f"{claude} can't be run: {e.strerror}") from e
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"it ended with {done.returncode}"


def _accounts(state: ProxyState) -> dict[str, tuple[int, int]]:
    """Return the attempts and the successes of each account so far."""
    report = http_client.get_json(f"{state.url}/status", {}, admin_headers(state)) or {}
    accounts = report.get("stats", {}).get("accounts", [])
    return {each["label"]: (each["attempts"], each["success"]) for each in accounts}
