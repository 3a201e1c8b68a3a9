"""Turns reports into text: rich on a terminal, plain where it is piped or NO_COLOR is set."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from neurolink_mitm.cli.tables import Column, Fitting
from neurolink_mitm.records.replay import Outcome

Report = Mapping[str, Any]

UNFOLDED = 1000
"""Columns of what is piped."""


def as_json(report: Report) -> str:
    return json.dumps(report, indent=2) + "\n"


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
    return printed(replay_table(report))


def replay_table(report: Report) -> Fitting:
    """Side by side."""
    outcomes = report.values()
    served = (
        ", ".join(f"{label} {count}" for label, count in each["served"].items()) or "nobody"
        for each in outcomes
    )
    fields = (("requests", "requests"), ("429s met", "rateLimits"), ("refused", "refused"))
    return Fitting(
        (
            Column("strategy", [Text(name) for name in report]),
            *(Column(title, [Text(str(o[name])) for o in outcomes]) for title, name in fields),
            Column("served by", [Text(each) for each in served], least=24),
        )
    )


def printed(shown: RenderableType) -> str:
    """As wide as the terminal; for a pipe wide enough that no line is folded, and without colour."""
    terminal = sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        color_system="auto" if terminal and "NO_COLOR" not in os.environ else None,
        width=None if terminal else UNFOLDED,
        markup=False,  # labels and reasons mean themselves, whatever is in them
        emoji=False,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(shown)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def duration(seconds: float) -> str:
    """In words: `42 s`, `3 min`, `2 h 5 min`, `3 d 4 h`."""
    minutes, hours, days = (int(seconds // n) for n in (60, 3600, 86400))
    if minutes < 1:
        return f"{int(seconds)} s"
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if days < 1 else f"{days} d {hours % 24} h"
