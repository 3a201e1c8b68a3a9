"""The accounts as `neurolink proxy status` shows them: each with its counts, or in one row with its tightest window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text

from neurolink_mitm.cli.ui.tables import NONE, Column, FittedTable, filled
from neurolink_mitm.cli.ui.windows import AccountWindow, figures, windows_of
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import countdown, in_local_time, reset_time
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.core.request.endpoints import described

Report = Mapping[str, Any]

GOOD, BUSY, BAD = "green", "yellow", "red"
READY, PAUSED = "ready", "paused"


def around(rows: Sequence[Report], most: int | None, selected: str | None) -> Sequence[Report]:
    """Return `most` rows at the most: the one with the key `selected` and those next to it, else the first ones."""
    if most is None or len(rows) <= most:
        return rows
    at = next((number for number, each in enumerate(rows) if each["key"] == selected), 0)
    start = min(max(0, at - most // 2), len(rows) - most)
    return rows[start : start + most]


def marked(rows: Sequence[Report], selected: str | None) -> tuple[Column, ...]:
    """Return a column that marks the row with the key `selected`; none if nothing is selected."""
    marks = [Text(">" if each["key"] == selected else "", style="bold") for each in rows]
    return (Column("", marks),) if selected is not None else ()


def accounts_table(
    accounts: Sequence[Report], now: float, selected: str | None = None
) -> FittedTable:
    """Return a row for each account: its state, and what happened on it."""
    counts = (("attempts", "attempts"), ("answered", "success"), ("failed", "errors"))
    counted = (
        Column(title, [Text(str(each[name])) for each in accounts], drop_step=leave)
        for leave, (title, name) in enumerate((*counts, ("429", "rateLimits")), 3)
    )
    return FittedTable(
        (
            *marked(accounts, selected),
            Column("account", [Text(each["label"]) for each in accounts], min_width=16),
            Column("type", [Text(each["type"]) for each in accounts], drop_step=1),
            Column("state", [_state(each, now) for each in accounts], min_width=24),
            *counted,
        )
    )


def _state(account: Report, now: float) -> Text:
    reason = printable(str(account["reason"] or ""))
    if account["cooling"]:
        end = account.get("recoversAt") or account["coolingUntil"]
        return Text(f"cooling {_until(end, now)}: {reason}", style=BUSY)
    models = _models(account, now)
    if reason:
        style = BUSY if _state_name(account) == PAUSED else BAD
        return Text(in_local_time(reason, now), style=style)
    busy = f", {account['inFlight']} in flight" if account.get("inFlight") else ""
    return Text(f"{READY}{busy}{models}", style=GOOD)


def _models(account: Report, now: float) -> str:
    """Return the models and endpoints that are limited while the account serves all others."""
    scopes = account.get("cooldowns") or {}
    limited = [
        f"{described(scope)} {_until(cooldown.get('recoversAt') or cooldown['until'], now)}"
        for scope, cooldown in scopes.items()
        if scope != "*" and cooldown["cooling"]
    ]
    return f"; cooling: {', '.join(limited)}" if limited else ""


def _until(moment: str, now: float) -> str:
    end = seconds(moment)
    left = max(0.0, end - now)
    return f"for {left:.0f} s" if left < 60 else f"until {reset_time(end, now)}"


def brief_accounts(
    accounts: Sequence[Report], now: float, most: int | None, selected: str | None = None
) -> Iterable[FittedTable | Text]:
    """Yield a row for each of `most` accounts, with its tightest window, and how many more there are."""
    shown = around(accounts, most, selected)
    windows = [_tightest(each) for each in shown]
    used, resets, out = figures(windows, now)
    columns = (
        *marked(shown, selected),
        Column("account", [Text(each["label"]) for each in shown], min_width=20),
        Column("state", [_brief_state(each, now) for each in shown], min_width=12),
        Column("window", [Text(each.name or NONE) for each in windows], drop_step=5),
        replace(used, drop_step=8),
        replace(resets, drop_step=7),
        replace(out, drop_step=6),
    )
    yield FittedTable(filled(columns))
    keys = {each["key"] for each in shown}
    if rest := [each for each in accounts if each["key"] not in keys]:
        states = Counter(map(_state_name, rest))
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        yield Text(f"and {len(rest)} more: {counts}", style="dim")


def _tightest(account: Report) -> AccountWindow:
    """Return the window that is used up, or will be first, or is used most; an empty one where there is none."""

    def order(window: AccountWindow) -> tuple[bool, str, float]:
        out = window.report.get("runsOutAt") or "~"
        return not window.is_used_up, out, -(window.report["used"] or 0)

    return min(
        windows_of(account), key=order, default=AccountWindow(account["label"], "", {"used": None})
    )


def _brief_state(account: Report, now: float) -> Text:
    name = _state_name(account)
    if account["cooling"]:
        left = seconds(account.get("recoversAt") or account["coolingUntil"]) - now
        return Text(f"{name} {countdown(left)}", style=BUSY)
    if name == PAUSED:
        until = (account.get("paused") or {}).get("until")
        return Text(f"{name} {countdown(seconds(until) - now)}" if until else name, style=BUSY)
    busy = f", {account['inFlight']} in flight" if account.get("inFlight") else ""
    return Text(f"{name}{busy}", style=GOOD if name == READY else BAD)


def _state_name(account: Report) -> str:
    reason = str(account["reason"] or READY).partition(":")[0]
    if reason.split(" ")[0] == PAUSED:
        return PAUSED
    return "cooling" if account["cooling"] else printable(reason)
