"""Which account the next request takes, and why, as `neurolink proxy status --explain` shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from neurolink_mitm.cli.proxy.accounts_text import around, marked
from neurolink_mitm.cli.ui.tables import Column, FittedTable
from neurolink_mitm.core.failover.recovery_text import timed
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import in_local_time, reset_time
from neurolink_mitm.core.logs.timestamps import seconds

Report = Mapping[str, Any]

NOT_FOUND = 404
BAD = "red"


def explain_view(
    report: Report, now: float, most: int | None = None, selected: str | None = None
) -> RenderableType:
    """Return which account the next request takes, why not the others, and what the client gets where none does.

    `most` rows at the most, those around the one that is `selected`, if its key is.
    """
    rows = report["explain"]
    shown = around(rows, most, selected)
    table = _explained_table(shown, now, selected) if rows else Text("no accounts")
    return Group(table, *_left_out(rows, shown), *_route_lines(report.get("route") or {}, now))


def _left_out(rows: Sequence[Report], shown: Sequence[Report]) -> Iterable[Text]:
    """Yield how many rows are not shown, and the next account if it is one of them."""
    if len(rows) > len(shown):
        hidden = next((each for each in rows if each["next"] and each not in shown), None)
        following = f"; next is {hidden['label']}" if hidden else ""
        yield Text(f"and {len(rows) - len(shown)} more{following}", style="dim")


def _explained_table(rows: Sequence[Report], now: float, selected: str | None) -> RenderableType:
    columns = (
        *marked(rows, selected),
        Column("", [Text(_mark(each)) for each in rows]),
        Column("account", [Text(each["label"]) for each in rows], min_width=12),
        Column("why", [Text(_why(each, now)) for each in rows], min_width=16),
    )
    return FittedTable(columns)


def _why(row: Report, now: float) -> str:
    until = row.get("until")
    reason = timed(row["reason"], seconds(until), now) if until else str(row["reason"])
    return in_local_time(reason, now)


def _route_lines(route: Report, now: float) -> Iterable[Text]:
    """Yield the rule of the route, what the client gets in the end, and the account that counts tokens if another."""
    if (asked := route.get("asked")) and route.get("status") != NOT_FOUND:
        under = f" as {route['model']}" if route.get("model") not in (None, asked) else ""
        yield Text(printable(f"{asked}: asked for{under}, by {route['rule']}"))
    if until := route.get("heldUntil"):
        at = reset_time(seconds(until), now)
        yield Text(f"a request is held until {at}")
    elif route.get("status"):
        lines = f"the client gets {route['status']}: {route['message']}".splitlines()
        yield from (Text(printable(line), style=BAD) for line in lines)
    elif route.get("message"):
        yield Text(printable(f"a request {route['message']}"))
    counting = route.get("countTokens") or {}
    if counting.get("next") != route.get("next"):
        taken = str(counting.get("next") or "").removeprefix("anthropic:")
        result = f"next is {taken}" if taken else f"the client gets {counting.get('status')}"
        yield Text(printable(f"counting tokens: {result}"))
    if uncounted := route.get("uncounted"):
        reason = uncounted.partition(". ")[0]  # without those of each account
        yield Text(printable(f"batches, and what else tells no cost: {reason}"))


def _mark(account: Report) -> str:
    if account["next"]:
        return "next"
    return "" if account["usable"] else "no"
