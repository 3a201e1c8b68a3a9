"""`neurolink statusline`: a line for Claude Code, which asks for it all the time: it imports and waits for little."""

from __future__ import annotations

import json
import os
import select
import sys
import time

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.quick_status import ask, read_json
from neurolink_mitm.core import statusline

STATUS_LIMIT = 0.05
STDIN_LIMIT = 0.02
"""Seconds."""


@click.command("statusline")
def command() -> None:
    """Print one line about the accounts, for Claude Code's status line.

    Example: neurolink statusline
    """
    try:
        click.echo(_line(Home.from_environment(os.environ), _model(), time.time()))
    except (ValueError, LookupError, TypeError, AttributeError):
        click.echo("neurolink: neurolink proxy status")  # a file or an answer of another version


def _line(home: Home, model: str | None, now: float) -> str:
    state = read_json(home.state)
    if not state:
        return statusline.NOT_RUNNING
    try:
        report = ask(state, STATUS_LIMIT)
    except ConnectionRefusedError:
        return statusline.NOT_RUNNING
    if report is not None:
        return statusline.line(report, model, now)
    quotas, cooldowns = (
        read_json(path).get("accounts", {}) for path in (home.quotas, home.cooldowns)
    )
    return statusline.remembered(quotas, cooldowns, model, now)


def _model() -> str | None:
    """The session's model, as Claude Code says on stdin; None where nobody says anything at once."""
    try:
        said = json.loads(_stdin())
        model = said["model"]["id"]
    except (ValueError, LookupError, TypeError):
        return None
    return model if isinstance(model, str) else None


def _stdin() -> bytes:
    """What is there to be read, to its end or for a moment; of a terminal, nothing."""
    if sys.stdin is None or sys.stdin.isatty():
        return b""
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):
        return b""
    received, deadline = b"", time.monotonic() + STDIN_LIMIT
    while select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
        data = os.read(descriptor, 65536)
        if not data:
            break
        received += data
    return received
