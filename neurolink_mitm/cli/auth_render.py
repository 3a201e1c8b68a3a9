"""The accounts as people read them: a table, and a line or two."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurolink_mitm.cli.render import duration

Row = dict[str, Any]

BAR = 5
"""Characters."""
NONE = "–"
UNFOLDED = 1000
TYPES = {"oauth": "login", "api_key": "API key"}
COLOURS = {"ready": "green", "expired": "green", "cooling": "yellow"}
EMPTY = "no accounts; add one with: neurolink auth login anthropic\n"


def list_text(found: Sequence[Row], now: float) -> str:
    if not found:
        return EMPTY
    titles = ("account", "e-mail", "organisation", "type", "plan", "expires", "5h", "7d", "state")
    lines = [
        (
            Text(row["label"]),
            Text(row["email"] or NONE),
            Text(row["organization"] or row["organizationUuid"] or NONE),
            Text(_type(row)),
            Text(row["plan"]),
            Text(expiry(row["expiresAt"], now)),
            bar(row["quota"], "fiveHour"),
            bar(row["quota"], "sevenDay"),
            _state(row),
        )
        for row in found
    ]
    return table_of(titles, lines)


def status_text(summary: Row) -> str:
    """`3 accounts: 2 ready, 1 needs login (work)`, and what to do."""
    if not summary["accounts"]:
        return EMPTY
    states = summary["states"]
    parts = [_counted(state, labels) for state, labels in states.items()]
    count = summary["accounts"]
    line = f"{count} account{'s' * (count != 1)}: {', '.join(parts)}\n"
    again = (shlex.quote(label) for label in states.get("needs login", ()))
    return line + "".join(f"  neurolink auth login anthropic --label {label}\n" for label in again)


def expiry(moment: str | None, now: float) -> str:
    """In words: `in 3 h 5 min`, `2 d 1 h ago`; a dash where there is no end, or none that is known."""
    if moment is None:
        return NONE
    left = datetime.fromisoformat(moment).timestamp() - now
    return f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"


def bar(quota: Row | None, name: str) -> Text:
    """How far a window is used: `██▌   50%`."""
    window = (quota or {}).get(name)
    if window is None:
        return Text(NONE)
    used = min(max(window["used"], 0.0), 1.0)
    halves = round(used * BAR * 2)
    drawn = "█" * (halves // 2) + "▌" * (halves % 2)
    colour = "red" if used >= 0.9 else "yellow" if used >= 0.5 else "green"
    return Text(f"{drawn:<{BAR}} ", style=colour).append(f"{window['used']:.0%}", style="default")


def table_of(titles: Sequence[str], lines: Sequence[Sequence[Text]]) -> str:
    """Without the columns that hold nothing. As wide as the terminal; for a pipe no line is folded."""
    columns = zip(titles, zip(*lines, strict=True), strict=True)
    kept = [(title, cells) for title, cells in columns if any(cell.plain != NONE for cell in cells)]
    table = Table(box=None, pad_edge=False)
    for title, _ in kept:
        table.add_column(title, overflow="fold")
    for cells in zip(*(cells for _, cells in kept), strict=True):
        table.add_row(*cells)
    return _printed(table)


def _printed(table: Table) -> str:
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    console = Console(
        file=io.StringIO(),
        force_terminal=not plain,
        color_system=None if plain else "auto",
        width=None if sys.stdout.isatty() else UNFOLDED,
    )
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def _type(row: Row) -> str:
    return TYPES[row["type"]] + ("" if row["source"] == "store" else f" ({row['source']})")


def _state(row: Row) -> Text:
    text = Text(row["state"], style=COLOURS.get(row["state"], "red"))
    if row["reason"]:
        text.append(f": {row['reason']}", style="default")
    return text.append(" (primary)", style="bold") if row["primary"] else text


def _counted(state: str, labels: Sequence[str]) -> str:
    return f"{len(labels)} {state}" + ("" if state == "ready" else f" ({', '.join(labels)})")
