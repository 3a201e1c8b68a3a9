"""One request: its times, why it went where it went, and what was captured of it."""

from __future__ import annotations

from typing import Any

from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.dashboard.page import Context, File, Page, Part, View
from neurolink_mitm.dashboard.views.captured import captured, har_file, side
from neurolink_mitm.dashboard.views.logged import Row, id_of, masked, secrets_of_proxy
from neurolink_mitm.records import search
from neurolink_mitm.records.format import one_line
from neurolink_mitm.records.request_timeline import timeline


def request(view: View) -> Context:
    id_ = id_of(view)
    record = search.request_record(view.site.home.logs, id_, captured=False)
    secrets = secrets_of_proxy(view)
    row = masked(record.request, RequestRow, secrets) if record.request else None
    attempts = [masked(each, AttemptRow, secrets) for each in record.attempts]
    live = None if row else _in_flight(view, id_)
    if live:
        own, tries = _as_rows(live, view.site.now())
        row = masked(own, RequestRow, secrets)
        attempts = [masked(each, AttemptRow, secrets) for each in tries]
    return {
        "id": id_,
        "row": row,
        "attempts": attempts,
        "live": live,
        "timeline": timeline(row, attempts),
        "plain": one_line,
        "max_age_days": view.site.config.logging.max_age_days,
    }


def _in_flight(view: View, id_: str) -> Row | None:
    rows = view.in_flight.get("requests", ())
    return next((row for row in rows if row["requestId"] == id_), None)


def _as_rows(live: Row, now: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a request in flight as the rows that it would have if it ended now."""
    row = {
        "timestamp": live["since"],
        "requestId": live["requestId"],
        "responseTimeMs": live["ageMs"],
        "ttfbMs": _ms_between(live["since"], live["firstByteAt"]),
        "path": live["path"],
        "sessionId": live["session"],
        "agentId": live["agent"],
        "outputTokens": live["outputTokens"],
        "heldMs": live["heldMs"] + (_held_ms(live, now) if live["state"] == "held" else 0.0),
        **{name: live[name] for name in ("api", "model", "client", "account")},
    }
    attempts = [
        {
            "timestamp": each["since"],
            "attempt": each["number"],
            "account": each["account"],
            "provider": each["provider"],
            "responseStatus": each["status"],
            "errorType": each["errorType"],
            "ended": each["endedAt"] is not None,
            "connectMs": each["connectMs"],
            "waitMs": each["waitMs"],
            "durationMs": _ms_between(each["since"], each["endedAt"])
            or max(0.0, (now - seconds(each["since"])) * 1000),
        }
        for each in live["attempts"]
    ]
    return row, attempts


def _held_ms(live: Row, now: float) -> float:
    """Return how long a request is held by now: since its latest attempt."""
    ends = [each["endedAt"] for each in live["attempts"]]
    return max(0.0, (now - seconds(max(filter(None, ends), default=live["since"]))) * 1000)


def _ms_between(start: str, end: str | None) -> float | None:
    return None if end is None else max(0.0, (seconds(end) - seconds(start)) * 1000)


PAGE = Page(
    "request",
    "Request",
    (Part("request", request), Part("captured", captured)),
    in_menu=False,
    styles=("requests.css",),
    scripts=("requests.js",),
    pieces=(Part("side", side),),
    files=(File("har", har_file),),
)
