"""Turns reports into text: rich on a terminal, plain where it is piped or NO_COLOR is set."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

Report = Mapping[str, Any]


def as_json(report: Report) -> str:
    return json.dumps(report, indent=2) + "\n"


def status_text(report: Report) -> str:
    """The report of /status for people."""
    stats = report["stats"]
    head = (
        f"NeuroLink {report['version']} on {report['url']}"
        f" (pid {report['pid']}, {report['strategy']}, up {duration(report['uptime'])})\n"
        f"{stats['totalRequests']} requests: {stats['totalSuccess']} answered,"
        f" {stats['totalErrors']} failed; {stats['totalAttempts']} attempts upstream,"
        f" {stats['totalRateLimits']} rate-limited\n"
    )
    faults = "".join(f"configuration: {line}\n" for line in report["config"]["errors"])
    return head + faults + _accounts(stats["accounts"])


def _accounts(accounts: list[Report]) -> str:
    if not accounts:
        return "no accounts\n"
    table = Table(box=None, pad_edge=False)
    for title in ("account", "type", "state", "attempts", "answered", "failed", "429"):
        table.add_column(title, overflow="fold")
    for account in accounts:
        table.add_row(
            account["label"], account["type"], _state(account), str(account["attempts"]),
            str(account["success"]), str(account["errors"]), str(account["rateLimits"]),
        )  # fmt: skip
    return _printed(table)


def _state(account: Report) -> str:
    if account["cooling"]:
        return f"cooling until {account['coolingUntil']}: {account['reason']}"
    return account["reason"] or "ready"


def _printed(table: Table) -> str:
    """As wide as the terminal; for a pipe wide enough that no line is folded, and without colour."""
    terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), force_terminal=terminal, width=None if terminal else 200)
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def duration(seconds: float) -> str:
    """In words: `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`."""
    minutes, hours, days = (int(seconds // n) for n in (60, 3600, 86400))
    if minutes < 1:
        return f"{int(seconds)} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"
