"""The windows of accounts as people read them: used, reset, forecast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from neurolink_mitm.cli.ui.tables import NO_BREAK, NONE, Column, FittedTable, filled
from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.reset_times import reset_time, zoned_time
from neurolink_mitm.core.logs.timestamps import seconds

Row = Mapping[str, Any]

BAR = 5
"""Characters of a drawn window."""
NARROW = 68
"""Characters of a terminal from which on there is room for columns."""
USED_UP = Text("used up", style="red")


@dataclass(frozen=True, slots=True)
class AccountWindow:
    """A window of an account, as `/status` reports it."""

    label: str
    """The account's."""
    name: str
    """Upstream's."""
    report: Row

    @property
    def is_used_up(self) -> bool:
        used = self.report["used"]
        return self.report.get("status") == "rejected" or (used is not None and used >= 1)


@dataclass(frozen=True, slots=True)
class WindowsTable:
    """A row for each window, those of an account together; where it is too narrow for columns, a sentence."""

    windows: Sequence[AccountWindow]
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= NARROW:
            yield FittedTable(filled(_columns(self.windows, self.now)))
        else:
            yield from (_sentence(each, self.now) for each in self.windows)


def windows_table(accounts: Iterable[Row], now: float) -> Iterable[WindowsTable]:
    """Yield the table of all windows, if there are any."""
    if windows := [each for account in accounts for each in windows_of(account)]:
        yield WindowsTable(windows, now)


def windows_of(account: Row) -> Iterator[AccountWindow]:
    """Yield the windows of an account, those for all models first."""
    windows = (account["quota"] or {}).get("windows") or {}
    for name in sorted(windows, key=lambda name: (name not in ("5h", "7d"), name)):
        yield AccountWindow(account["label"], name, windows[name])


def _columns(windows: Sequence[AccountWindow], now: float) -> list[Column]:
    return [
        Column("account", _labels(windows), min_width=20),
        Column(
            "window",
            [Text(_named(each)) for each in windows],
            short=[Text(each.name) for each in windows],
            shorten_step=2,
        ),
        *figures(windows, now),
    ]


def _labels(windows: Sequence[AccountWindow]) -> list[Text]:
    """Return the account of each window, once for those of one account."""
    before = ["", *(each.label for each in windows)]
    return [
        Text(each.label if each.label != last else "")
        for each, last in zip(windows, before, strict=False)
    ]


def figures(windows: Sequence[AccountWindow], now: float) -> list[Column]:
    """Return the columns with what is used of each window, its reset and its forecast."""
    used, shares = zip(*(_used(each) for each in windows), strict=True)
    resets, times = zip(*(_reset(each.report, now) for each in windows), strict=True)
    forecasts, outs = zip(*(_forecast(each, now) for each in windows), strict=True)
    return [
        Column("used", used, short=shares, shorten_step=1),
        Column("resets", resets, short=times, shorten_step=4),
        Column(f"out{NO_BREAK}at", forecasts, short=outs, shorten_step=3),
    ]


def _sentence(window: AccountWindow, now: float) -> Text:
    """Return `work 5h: 42%, resets 16:40 CET (in 2h5m), out at 15:10 CET (in 35m)`."""
    (_, used), (reset, _), (out, _) = (
        _used(window),
        _reset(window.report, now),
        _forecast(window, now),
    )
    share = Text("use unknown") if used.plain == NONE else used
    parts = [Text(f"{window.label} {_named(window)}: ").append_text(share)]
    parts += [Text("resets ").append_text(reset)] if reset.plain != NONE else []
    if out.plain not in (NONE, used.plain):
        parts.append(out if window.is_used_up else Text("out at ").append_text(out))
    return Text(", ").join(parts)


def _named(window: AccountWindow) -> str:
    """Return upstream's name, and the models that it counts for if these are not all."""
    models = [name.strip("*-").removeprefix("claude-") for name in window.report.get("models", ())]
    return f"{window.name} ({printable(', '.join(models))})" if any(models) else window.name


def _used(window: AccountWindow) -> tuple[Text, Text]:
    """Return how far a window is used, as `██▌   50%` and in short as `50%`."""
    share = window.report["used"]
    if share is None:
        return (USED_UP, USED_UP) if window.is_used_up else (Text(NONE), Text(NONE))
    part = min(max(share, 0.0), 1.0)
    halves = round(part * BAR * 2)
    drawn = "█" * (halves // 2) + "▌" * (halves % 2)
    colour = "red" if part >= 0.9 else "yellow" if part >= 0.5 else "green"
    text = f"{min(share, 99.99):.0%}"
    return (
        Text(f"{drawn:<{BAR}} ", style=colour).append(f"{text:>4}", style="default"),
        Text(text, style=colour),
    )


def _reset(report: Row, now: float) -> tuple[Text, Text]:
    """Return when a window begins anew, with the countdown and in short."""
    if not report.get("reset"):
        return Text(NONE), Text(NONE)
    at = seconds(report["reset"])
    return Text(reset_time(at, now)), Text(zoned_time(at, now))


def _forecast(window: AccountWindow, now: float) -> tuple[Text, Text]:
    """Return when a window is used up at the pace of the last hour, if that is before its reset."""
    if window.is_used_up:
        return USED_UP, USED_UP
    out = window.report.get("runsOutAt")
    if not out or (at := seconds(out)) <= now:
        return Text(NONE), Text(NONE)
    return Text(reset_time(at, now), style="red"), Text(zoned_time(at, now), style="red")
