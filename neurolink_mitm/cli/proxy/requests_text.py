"""The requests in flight, as `neurolink proxy status` shows them: in a line, and with `--watch` in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from neurolink_mitm.cli.ui.tables import NONE, Column, FittedTable, filled
from neurolink_mitm.cli.ui.terminal import counted
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import countdown, reset_time
from neurolink_mitm.core.logs.timestamps import seconds

Report = Mapping[str, Any]

STATES = {"streaming": "green", "held": "yellow"}
SESSION = 8
"""Characters of a session's or an agent's id: enough to tell two apart."""


def in_flight_line(report: Report, now: float) -> Iterable[Text]:
    """Yield how many requests are in flight and held, and when the first of these goes on at the latest."""
    if not report.get("requestsInFlight"):
        return
    line = Text(f"in flight: {counted(report['requestsInFlight'], 'request')}")
    if held := report.get("requestsHeld"):
        ends = [seconds(each["heldUntil"]) for each in report["requests"] if each.get("heldUntil")]
        until = f", the first until {reset_time(min(ends), now)}" if ends else ""
        line.append(f", {held} held{until}", style=STATES["held"])
    yield line


def in_flight_table(report: Report, now: float, most: int) -> Iterable[FittedTable | Text]:
    """Yield a row for each request in flight, the oldest first, `most` at the most."""
    requests = report.get("requests") or ()
    shown = requests if len(requests) <= most else requests[: max(0, most - 1)]
    if shown:
        yield FittedTable(filled(_columns(shown, now)))
    if more := report.get("requestsInFlight", 0) - len(shown):
        yield Text(f"and {more} more", style="dim")


def _columns(requests: Sequence[Report], now: float) -> list[Column]:
    states, short = zip(*(_state(each, now) for each in requests), strict=True)
    models = [_name(each["model"] or each["path"]) for each in requests]
    families = [Text(model.plain.removeprefix("claude-")) for model in models]
    return [
        Column("request", states, short=short, shorten_step=4),
        Column("age", [Text(countdown(each["ageMs"] / 1000)) for each in requests], right=True),
        Column("attempt", [Text(_attempt(each)) for each in requests], right=True, drop_step=6),
        Column("account", [_name(each["account"]) for each in requests], min_width=12),
        Column("model", models, min_width=17, short=families, shorten_step=5),
        Column("client", [_name(each["client"]) for each in requests], drop_step=3),
        Column("session", [_id(each["session"]) for each in requests], drop_step=2),
        Column("agent", [_id(each["agent"]) for each in requests], drop_step=1),
    ]


def _state(request: Report, now: float) -> tuple[Text, Text]:
    """Return what a request is doing, whole and in short; of a held one, until when at the latest."""
    state, style = request["state"], STATES.get(request["state"], "")
    if not request.get("heldUntil"):
        return Text(state, style=style), Text(state, style=style)
    end = seconds(request["heldUntil"])
    return (
        Text(f"{state} until {reset_time(end, now)}", style=style),
        Text(f"{state} {countdown(end - now)}", style=style),
    )


def _attempt(request: Report) -> str:
    return str(request["attempt"]) if request["attempt"] else NONE


def _name(text: str | None) -> Text:
    return Text(printable(text) if text else NONE)


def _id(text: str | None) -> Text:
    return Text(printable(text[:SESSION]) if text else NONE)
