"""Turns reports into text: rich on a terminal, plain where it is piped or NO_COLOR is set."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from neurolink_mitm.core.replay import Outcome

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
    return head + faults + _unwritten(stats["accounts"]) + _accounts(stats["accounts"])


def explain_text(report: Report) -> str:
    """Which account the next request takes, and why not the others."""
    table = Table(box=None, pad_edge=False)
    for title in ("", "account", "why"):
        table.add_column(title, overflow="fold")
    for account in report["explain"]:
        mark = "next" if account["next"] else ("" if account["usable"] else "no")
        table.add_row(mark, account["label"], account["reason"])
    return _printed(table) if report["explain"] else "no accounts\n"


def replay_report(before: Outcome, after: Outcome, strategy: str) -> dict[str, Any]:
    """What happened beside what would have."""
    return {"recorded": _outcome(before), strategy: _outcome(after)}


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "requests": outcome.requests,
        "rateLimits": outcome.rate_limits,
        "refused": outcome.refused,
        "served": dict(outcome.served.most_common()),
    }


def replay_text(report: Report) -> str:
    """Side by side."""
    table = Table(box=None, pad_edge=False)
    for title in ("strategy", "requests", "429s met", "refused", "served by"):
        table.add_column(title, overflow="fold")
    for name, outcome in report.items():
        served = ", ".join(f"{label} {count}" for label, count in outcome["served"].items())
        counts = (str(outcome[field]) for field in ("requests", "rateLimits", "refused"))
        table.add_row(name, *counts, served or "nobody")
    return _printed(table)


def _accounts(accounts: list[Report]) -> str:
    if not accounts:
        return "no accounts\n"
    table = Table(box=None, pad_edge=False)
    for title in ("account", "type", "state", "5h", "7d", "attempts", "answered", "failed", "429"):
        table.add_column(title, overflow="fold")
    for account in accounts:
        quota = (_used(account, window) for window in ("fiveHour", "sevenDay"))
        counts = (str(account[name]) for name in ("attempts", "success", "errors", "rateLimits"))
        table.add_row(account["label"], account["type"], _state(account), *quota, *counts)
    return _printed(table)


def _unwritten(accounts: list[Report]) -> str:
    """What is lost if the proxy ends now."""
    return "".join(
        f"{account['label']}: ITS NEW TOKENS ARE NOT ON DISK: {account['unwritten']}\n"
        for account in accounts
        if account["unwritten"]
    )


def _state(account: Report) -> str:
    if account["cooling"]:
        return f"cooling until {account['coolingUntil']}: {account['reason']}"
    return account["reason"] or "ready"


def _used(account: Report, name: str) -> str:
    """How far a window is used, and when it is used up at this pace if that is before its reset."""
    window = (account["quota"] or {}).get(name)
    if window is None:
        return "–"
    end = f", out at {window['runsOutAt'][11:16]}" if window["runsOutAt"] else ""
    return f"{window['used']:.0%}{end}"


def _printed(table: Table) -> str:
    """As wide as the terminal; for a pipe wide enough that no line is folded, and without colour."""
    terminal = sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        width=None if terminal else 200,
        markup=False,  # labels and reasons mean themselves, whatever is in them
        emoji=False,
    )
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
