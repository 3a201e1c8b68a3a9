"""The charts of the page History: numbers with names and colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.dashboard.page import View
from neurolink_mitm.dashboard.render import COLOURS, colours, count, ms, share, tokens, usd
from neurolink_mitm.records.history import DRAWN, Answer, Question, start_of
from neurolink_mitm.records.stats import REST
from neurolink_mitm.records.sums import Sums


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure over time. `series` are its lines by name; `kind` is `bars`, which are stacked, or `lines`."""

    name: str
    title: str
    about: str
    kind: str
    unit: str
    series: Mapping[str, list[float | None]]
    colours: tuple[str, ...]
    """By series: the name of a colour in `dashboard.css`."""

    def text(self, value: float | None) -> str:
        return _UNITS[self.unit](value)


_UNITS: Mapping[str, Callable[[object], str]] = {
    "count": count, "tokens": tokens, "usd": usd, "share": share, "ms": ms,
}  # fmt: skip


def hue(*numbers: int) -> tuple[str, ...]:
    """Return the names of colours."""
    return tuple(f"acct-{number}" for number in numbers)


def palette_of(view: View, answer: Answer, by: str) -> Mapping[str, int]:
    """Return the colours of groups: those of the pool's accounts are the same on all pages."""
    palette = dict(colours(each.label for each in view.site.runtime.pool.accounts))
    if by != "account":
        return palette | {name: at for at, (name, _) in enumerate(answer.groups) if at < DRAWN}
    for name, _ in answer.groups:
        free = [at for at in range(COLOURS - 1) if at not in palette.values()]
        if name not in palette and free:
            palette[name] = free[0]
    return palette


def charts_of(answer: Answer, by: str, palette: Mapping[str, int]) -> list[Chart]:
    sums = [answer.over_time.get(column, Sums()) for column in answer.columns]
    by_requests, by_cost = _lines(answer)
    hues = hue(*(palette.get(name, COLOURS - 1) for name in by_requests))
    return [
        Chart("requests", "Requests", f"Finished requests by {by}.", "bars", "count", by_requests, hues),
        Chart("cost", "Cost", "At list prices, also for subscriptions, where it says what an API key would have "
              "cost. Requests of unknown price are left out.", "bars", "usd", by_cost, hues),
        Chart("tokens", "Tokens", "From the cache is what was read again at a tenth of the price.", "bars", "tokens", {
            "in": [each.input for each in sums], "out": [each.output for each in sums],
            "into cache": [each.cache_creation for each in sums], "from cache": [each.cache_read for each in sums],
        }, hue(0, 1, 2, 3)),
        Chart("cache", "Cache hit rate", "The share of prompt tokens that came from the cache: the largest lever on "
              "cost.", "lines", "share", {"hit rate": [each.hit_rate for each in sums]}, hue(2)),
        Chart("first-byte", "First byte", "From the request to the first byte of its response: p50 is the usual one, "
              "one in twenty took longer than p95.", "lines", "ms", {
            "p50": [each.first_byte.at(0.5) for each in sums], "p95": [each.first_byte.at(0.95) for each in sums],
        }, hue(0, 1)),
        Chart("errors", "Errors and failovers", "Errors are requests that failed for the client. A failover is an "
              "attempt that was made again on another account, which the client does not see.", "lines", "count", {
            "errors": [each.errors for each in sums], "failovers": [each.failovers for each in sums],
        }, ("bad-mark", "acct-0")),
    ]  # fmt: skip


Lines = dict[str, list[float | None]]


def _lines(answer: Answer) -> tuple[Lines, Lines]:
    """Return requests and cost by group, and those of all other groups."""
    requests: Lines = {}
    cost: Lines = {}
    for name, line in sorted(
        answer.lines.items(), key=lambda item: -sum(item[1].requests.values())
    ):
        requests[name] = [line.requests.get(column, 0) for column in answer.columns]
        cost[name] = [line.cost.get(column, 0.0) for column in answer.columns]
    if len(answer.groups) > len(answer.lines):
        sums = [answer.over_time.get(column, Sums()) for column in answer.columns]
        requests[REST] = [max(0, each.requests - sum(line[at] or 0 for name, line in requests.items() if name != REST))
                          for at, each in enumerate(sums)]  # fmt: skip
        cost[REST] = [max(0.0, each.cost - sum(line[at] or 0 for name, line in cost.items() if name != REST))
                      for at, each in enumerate(sums)]  # fmt: skip
    return requests, cost


def drawing_of(chart: Chart, answer: Answer, asked: Question) -> Mapping[str, Any]:
    """Return what the script draws a chart from."""
    return {
        "kind": chart.kind,
        "unit": chart.unit,
        "step": 86400 if asked.step == "day" else 3600,
        "x": [start_of(column) for column in answer.columns],
        "names": list(chart.series),
        "colours": chart.colours,
        "values": list(chart.series.values()),
    }
