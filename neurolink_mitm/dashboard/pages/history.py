from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.logs.timestamps import FIRST, LAST, parse_time
from neurolink_mitm.dashboard.page import Context, Page, Part, View, link
from neurolink_mitm.dashboard.render import share, usd
from neurolink_mitm.dashboard.views.charts import charts_of, drawing_of, palette_of
from neurolink_mitm.records.history import STEPS, Answer, Question, answer
from neurolink_mitm.records.rollup_builder import RollupBuilder
from neurolink_mitm.records.stats import NO_KEY, REST
from neurolink_mitm.records.sums import Numbers, Sums

GROUPS = ("account", "model", "session", "agent", "client", "outcome")
RANGES: Mapping[str, str] = {
    "today": "Today", "24h": "24 hours", "7d": "7 days", "30d": "30 days", "all": "All",
}  # fmt: skip
USUAL = "7d"
DAYS = {"7d": 7, "30d": 30}
HOURLY = 2 * 86400.0
"""Seconds; a range up to so long is shown by hours."""
DAY = 86400.0
LONGEST = 40
"""Characters of a time in the page's query."""
MAIN_AGENT = "main of "


@dataclass(frozen=True, slots=True)
class Choice:
    """A link to the page with one thing changed."""

    text: str
    link: str
    current: bool


SORTS: Mapping[str, Callable[[Sums], float]] = {
    "Requests": lambda sums: sums.requests, "Errors": lambda sums: sums.errors,
    "Failovers": lambda sums: sums.failovers, "In": lambda sums: sums.input, "Out": lambda sums: sums.output,
    "From cache": lambda sums: sums.cache_read, "Hit rate": lambda sums: sums.hit_rate or 0.0,
    "Cost": lambda sums: sums.cost, "First byte p50": lambda sums: sums.first_byte.at(0.5) or 0.0,
    "p95": lambda sums: sums.first_byte.at(0.95) or 0.0,
}  # fmt: skip
"""Columns of the table of groups, by which it can be sorted."""


def history(view: View) -> Context:
    wanted = {name: text for name, text in view.query.items() if text.strip()}
    now = view.site.now()
    by = wanted.get("by") if wanted.get("by") in GROUPS else GROUPS[0]
    kind = wanted.get("range") if wanted.get("range") in RANGES else USUAL
    faults, zoom = _zoom(wanted, now)
    since, until = zoom or _range(str(kind), now)
    step = wanted.get("step")
    if step not in STEPS:
        step = "hour" if since is not None and (until or now) - since <= HOURLY else "day"
    shift = None if zoom else DAY * DAYS.get(str(kind), 1)
    asked = Question(str(by), str(step), since, until, shift)
    result = answer(view.site.home.logs, asked)
    palette = palette_of(view, result, str(by))
    progress = builder_of(view.site.home.logs).build(result.reading.unread)
    return {
        "choices": list(_choices(wanted, str(by), str(kind), str(step), zoomed=bool(zoom))),
        "wanted": wanted, "here": _link(view.query, "parts/history"), "faults": faults,
        "by": by, "step": step, "kind": kind,
        "zoomed": bool(zoom), "whole_range": _link({**wanted, "since": "", "until": ""}),
        "answer": result, "total": result.total, "progress": progress,
        "failed": builder_of(view.site.home.logs).failed,
        "comparison": _comparison(result.total, result.before, zoom, str(kind)),
        "charts": charts_of(result, str(by), palette), "colours": palette,
        "data": lambda chart: drawing_of(chart, result, asked),
        "rows": list(_rows(result, asked)), "groups": _sorted(_groups(result, asked), wanted.get("sort", "")),
        "sorts": {name: _link({**wanted, "sort": name}) for name in SORTS}, "sort": wanted.get("sort") or "Requests",
        "others": REST, "kept_days": view.site.config.logging.rollup_days,
        "max_age_days": view.site.config.logging.max_age_days,
    }  # fmt: skip


@lru_cache(maxsize=8)
def builder_of(logs: Path) -> RollupBuilder:
    """Return the one that sums up the rows of a home."""
    return RollupBuilder(logs)


Range = tuple[float | None, float | None]


def _zoom(wanted: Mapping[str, str], now: float) -> tuple[dict[str, str], Range | None]:
    """Return the faults of `since` and `until`, and the range if they name one."""
    times: dict[str, float | None] = {"since": None, "until": None}
    faults = {}
    for name in times:
        if name in wanted:
            try:
                moment = parse_time(wanted[name][:LONGEST], now)
                times[name] = min(max(moment, FIRST + 2 * DAY), LAST - 2 * DAY)  # in any zone
            except ValueError as e:
                faults[name] = str(e)
    since, until = times.values()
    if since is not None and until is not None and until <= since:
        faults["until"] = "this is not after the other one"
    if faults or (since is None and until is None):
        return faults, None
    return {}, (since, now if until is None else until)


def _range(kind: str, now: float) -> Range:
    if kind == "all":
        return None, None
    if kind == "24h":
        return math.floor(now / 3600) * 3600 - 86400 + 3600, now
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - timedelta(days=DAYS.get(kind, 1) - 1)).timestamp(), now


def _link(wanted: Mapping[str, str], page: str = "history") -> str:
    return link(page, wanted)


def _choices(
    wanted: Mapping[str, str], by: str, kind: str, step: str, *, zoomed: bool
) -> Iterator[tuple[str, list[Choice]]]:
    """Yield what can be chosen: its name, and the links."""
    ranges = [Choice(text, _link({**wanted, "range": name, "since": "", "until": "", "step": ""}),
                     name == kind and not zoomed) for name, text in RANGES.items()]  # fmt: skip
    yield "Range", ranges
    steps = (("day", "Days"), ("hour", "Hours"))
    yield (
        "Columns",
        [Choice(text, _link({**wanted, "step": name}), name == step) for name, text in steps],
    )
    yield "Group by", [Choice(name, _link({**wanted, "by": name}), name == by) for name in GROUPS]


def _comparison(now: Numbers, before: Numbers | None, zoom: Range | None, kind: str) -> list[str]:
    """Return what is different from the range before, in words."""
    if before is None or not before.requests:
        return []
    names = {"today": "yesterday up to this time", "24h": "the 24 hours before",
             "7d": "the 7 days before, up to this time", "30d": "the 30 days before, up to this time"}  # fmt: skip
    than = "the same length of time before" if zoom else names[kind]
    words = [
        f"{_change(now.requests, before.requests)} requests",
        f"{_change(now.output, before.output)} output tokens",
    ]
    if now.priced and before.priced:
        difference = now.cost - before.cost
        words.append(f"{usd(abs(difference))} {'more' if difference >= 0 else 'less'}")
    shares = [each.errors / each.requests if each.requests else 0.0 for each in (now, before)]
    if share(shares[0]) != share(shares[1]):
        words.append(f"errors {share(shares[0])} in place of {share(shares[1])}")
    return [f"Compared with {than}: {', '.join(words)}."]


def _change(now: float, before: float) -> str:
    if not before or now == before:
        return "as many" if now == before else "more"
    change = now / before - 1
    if change >= 2:
        return f"{now / before:.3g} times as many"
    return f"{share(abs(change))} {'more' if change > 0 else 'fewer'}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the tables under the charts: a day or an hour."""

    name: str
    link: str | None
    """To its requests; None where their rows are gone."""
    at: int


def _rows(result: Answer, asked: Question) -> Iterator[Row]:
    for at, column in enumerate(result.columns):
        gone = date.fromisoformat(column[:10]) in result.reading.without_rows
        begin = datetime.fromisoformat(column)
        step = timedelta(days=1) if asked.step == "day" else timedelta(hours=1)
        end = min(begin, datetime.max - step) + step
        times = {"since": begin.isoformat()[:16], "until": end.isoformat()[:16]}
        link = None if gone else _link(times, "requests")
        yield Row(column if asked.step == "day" else f"{column[:10]} {column[11:]}:00", link, at)


@dataclass(frozen=True, slots=True)
class Group:
    """A row of the table of groups."""

    name: str
    link: str | None
    sums: Sums


def _groups(result: Answer, asked: Question) -> Iterator[Group]:
    for name, sums in result.groups:
        yield Group(name, _requests_of(asked, name), sums)


def _sorted(groups: Iterator[Group], column: str) -> list[Group]:
    """Return the groups by a column, the highest first, and what is left over last."""
    size = SORTS.get(column, SORTS["Requests"])
    return sorted(groups, key=lambda group: (group.name == REST, -size(group.sums)))


def _requests_of(asked: Question, name: str) -> str | None:
    """Return the link to the requests of a group."""
    if name in (NO_KEY, REST):
        return None
    field, value = asked.by, name
    if field == "agent" and name.startswith(MAIN_AGENT):
        field, value = "session", name.removeprefix(MAIN_AGENT)
    if field == "outcome":
        field, value = "status", name.rpartition(" ")[2] if name[-3:].isdigit() else name
    since = "" if asked.since is None else iso(asked.since)
    until = "" if asked.until is None else iso(asked.until)
    return _link({field: value, "since": since, "until": until}, "requests")


PAGE = Page(
    "history",
    "History",
    (Part("history", history),),
    styles=("uplot.min.css", "history.css"),
    scripts=("uplot.min.js", "history.js"),
)
