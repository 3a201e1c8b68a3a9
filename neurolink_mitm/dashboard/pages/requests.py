from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from neurolink_mitm.core.exchange import Outcome
from neurolink_mitm.core.logs.timestamps import parse_time
from neurolink_mitm.dashboard.page import Context, Page, Part, View, link
from neurolink_mitm.records import log_files
from neurolink_mitm.records.request_search import Place, Query, find
from neurolink_mitm.records.row_reader import RequestFilter, TimeRange

FIELDS: Mapping[str, str] = {
    "q": "text",
    "status": "status",
    "account": "account",
    "model": "model",
    "session": "session",
    "agent": "agent",
    "client": "client",
    "user": "user",
    "conversation": "conversation",
    "id": "request",
    "since": "since",
    "until": "until",
}
"""Names in the page's query, with what they are called on the page."""
STATUSES = (*(each.value for each in Outcome), "429", "4xx", "5xx")
_STATUS = re.compile(r"[1-5](\d\d|xx)")
LONGEST = 500
"""Characters of a value that are searched."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force, and the page without it."""

    name: str
    value: str
    without: str


def requests(view: View) -> Context:
    wanted = {name: text for name in FIELDS if (text := view.query.get(name, "").strip()[:LONGEST])}
    newest = newest_place(view.site.home.logs)
    faults = dict(_faults(wanted, view.site.now()))
    place = Place.parse(view.query.get("at", ""))
    base = {
        "wanted": wanted,
        "chips": [
            Chip(FIELDS[name], text, _link({**wanted, name: ""})) for name, text in wanted.items()
        ],
        "faults": faults,
        "newest": newest if place is None else "",
        "accounts": [each.label for each in view.site.runtime.pool.accounts],
        "statuses": STATUSES,
        "max_age_days": view.site.config.logging.max_age_days,
        "later": _link(wanted) if place else None,
    }
    if faults:
        return {**base, "results": None, "older": None, "empty": False}
    results = find(view.site.home.logs, query_of(wanted, view.site.now()), place)
    older = _link({**wanted, "at": str(results.next)}) if results.next else None
    return {**base, "results": results, "older": older, "empty": not newest}


def _faults(wanted: Mapping[str, str], now: float) -> Iterator[tuple[str, str]]:
    status = wanted.get("status", "").lower()
    if status and status not in STATUSES and not _STATUS.fullmatch(status):
        yield "status", f"{status!r:.40} is neither 429, 5xx nor one of {', '.join(Outcome)}"
    times = {}
    for name in ("since", "until"):
        try:
            times[name] = parse_time(wanted.get(name, "now"), now)
        except ValueError as e:
            yield name, str(e)
    if (
        "since" in wanted
        and "until" in wanted
        and len(times) == 2
        and times["until"] <= times["since"]
    ):
        yield "until", "this is not after the other one"


def query_of(wanted: Mapping[str, str], now: float) -> Query:
    """Return what the page's query asks for. Raises `ValueError` for a time that is none."""
    since, until = (
        parse_time(wanted[name], now) if name in wanted else None for name in ("since", "until")
    )
    account = wanted.get("account")
    return Query(
        RequestFilter(
            account=account and account.removeprefix("anthropic:"),
            status=wanted.get("status"),
            session=wanted.get("session"),
            client=wanted.get("client"),
            agent=wanted.get("agent"),
            user=wanted.get("user"),
            conversation=wanted.get("conversation"),
            model=wanted.get("model"),
            request=wanted.get("id"),
        ),
        TimeRange.of(since, until),
        wanted.get("q", ""),
    )


def newest_place(logs: Path) -> str:
    """Return where the newest row ends: it changes when a request has finished. Empty: there is none."""
    days = log_files.by_day(logs, "proxy")
    if not days:
        return ""
    day, path = days.popitem()
    return str(Place(day, log_files.size([path])))


def _link(wanted: Mapping[str, str]) -> str:
    return link("requests", wanted)


def arrivals(view: View) -> Context:
    return {"newest": newest_place(view.site.home.logs)}


PAGE = Page(
    "requests",
    "Requests",
    (Part("arrivals", arrivals, live=True), Part("requests", requests)),
    styles=("requests.css",),
    scripts=("requests.js",),
)
