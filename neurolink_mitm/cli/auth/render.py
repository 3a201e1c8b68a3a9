"""The accounts as people read them: the table of `auth list`, the line of `auth status`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from neurolink_mitm.cli.ui.tables import NONE, Column, FittedTable, duration, filled, printed
from neurolink_mitm.cli.ui.terminal import counted
from neurolink_mitm.cli.ui.windows import windows_table
from neurolink_mitm.core.logs.reset_times import in_local_time

Row = dict[str, Any]

TYPES = {"oauth": "login", "api_key": "API key"}
COLOURS = {"ready": "green", "expired": "green", "cooling": "yellow", "paused": "yellow"}
EMPTY = "no accounts; add one with: neurolink auth login anthropic\n"


def list_text(rows: Sequence[Row], now: float) -> str:
    return (
        printed(Group(FittedTable(columns(rows, now)), *windows_table(rows, now)))
        if rows
        else EMPTY
    )


def columns(rows: Sequence[Row], now: float) -> list[Column]:
    return filled([*_columns(rows, now)])


def _columns(rows: Sequence[Row], now: float) -> Iterator[Column]:
    # an e-mail address that is only the label once more is the first to go on a narrow terminal
    again = all(row["email"] in (None, row["label"]) for row in rows)
    yield Column("account", [Text(row["label"]) for row in rows], min_width=16)
    mails = [Text(row["email"] or NONE) for row in rows]
    yield Column("e-mail", mails, min_width=16, drop_step=0 if again else 6)
    names = [Text(row["organization"] or row["organizationUuid"] or NONE) for row in rows]
    yield Column("organisation", names, drop_step=1)
    yield Column("type", [Text(_type(row)) for row in rows], drop_step=4)
    yield Column("plan", [Text(row["plan"]) for row in rows], drop_step=2)
    yield Column("expires", [Text(expiry(row["expiresAt"], now)) for row in rows], drop_step=5)
    yield Column("state", [_state(row, now) for row in rows], min_width=24)


def status_text(summary: Row) -> str:
    """Return `3 accounts: 2 ready, 1 needs login (work)`, and what to do."""
    if not summary["accounts"]:
        return EMPTY
    states = summary["states"]
    parts = [_state_count(state, labels) for state, labels in states.items()]
    line = f"{counted(summary['accounts'], 'account')}: {', '.join(parts)}\n"
    again = (shlex.quote(label) for label in states.get("needs login", ()))
    return line + "".join(f"  neurolink auth login anthropic --label {label}\n" for label in again)


def expiry(moment: str | None, now: float) -> str:
    """Return `in 3 h 5 min`, `2 d 1 h ago`; a dash where no end is known."""
    if moment is None:
        return NONE
    left = datetime.fromisoformat(moment).timestamp() - now
    return f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"


def _type(row: Row) -> str:
    return TYPES[row["type"]] + ("" if row["source"] == "store" else f" ({row['source']})")


def _state(row: Row, now: float) -> Text:
    text = Text(row["state"], style=COLOURS.get(row["state"], "red"))
    if row["reason"]:
        text.append(f": {in_local_time(row['reason'], now)}", style="default")
    return text.append(" (primary)", style="bold") if row["primary"] else text


def _state_count(state: str, labels: Sequence[str]) -> str:
    return f"{len(labels)} {state}" + ("" if state == "ready" else f" ({', '.join(labels)})")
