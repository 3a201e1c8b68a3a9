"""One request through a proxy that was just set up: which account answers it.

An API key is asked by us. A subscription serves Claude Code only, so there it is Claude Code that asks, if it is
installed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from neurolink_mitm import __version__
from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.running import owner
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.text import redact

LIMIT = 120.0
MODEL = "claude-haiku-4-5-20251001"
"""The cheapest one."""
QUESTION = "Say hi."


class SmokeTestError(Exception):
    """Why there was no answer, in one line."""


@dataclass(frozen=True, slots=True)
class SmokeTestResult:
    """Whose account has answered, and who asked."""

    account: str
    by_claude_code: bool = False
    lent: bool = False
    """Claude Code asked with a token of ours: it has no login of its own, and sends nothing without."""


def smoke_test(
    state: ProxyState, accounts: Sequence[Account], *, guarded: bool
) -> SmokeTestResult | None:
    """None if there is nobody who may ask. Raises `SmokeTestError`.

    `guarded`: callers must show a key.
    """
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
    connection = HTTPConnection(urlsplit(state.url).netloc, timeout=LIMIT)
    try:
        connection.request("POST", "/v1/messages", json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, HTTPException) as e:
        raise SmokeTestError(f"{state.url} does not answer: {e}") from e
    finally:
        connection.close()
    if answer.status != 200:
        raise SmokeTestError(f"{answer.status}, {redact(_message(data))}")
    return SmokeTestResult(answer.headers.get("x-neurolink-account") or "?")


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "without a message"


def _ask_by(claude: str, state: ProxyState) -> SmokeTestResult:
    """As it is; then with a token that opens the proxy, should nothing have come there."""
    before = _accounts(state)
    said = _run(claude, {})
    lent = _accounts(state) == before
    if lent:
        said = _run(claude, {"ANTHROPIC_AUTH_TOKEN": state.admin_token})
    after = _accounts(state)
    for label, (_, answered) in after.items():
        if answered > before.get(label, (0, 0))[1]:
            return SmokeTestResult(label, by_claude_code=True, lent=lent)
    raise SmokeTestError(f"{claude} -p: {redact(said)}")


def _run(claude: str, more: Mapping[str, str]) -> str:
    """The last thing it says."""
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
    said = (done.stdout + done.stderr).strip().splitlines()
    return said[-1] if said else f"it ended with {done.returncode}"


def _accounts(state: ProxyState) -> dict[str, tuple[int, int]]:
    """How often each was asked so far, and how often it has answered."""
    report: dict[str, Any] = http_client.get_json(f"{state.url}/status", {}, owner(state)) or {}
    listed = report.get("stats", {}).get("accounts", [])
    return {each["label"]: (each["attempts"], each["success"]) for each in listed}
