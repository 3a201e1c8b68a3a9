"""One request: its times, why it went where it went, and what was captured of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from neurolink_mitm.adapters.bodies import read_body
from neurolink_mitm.core.logs.capture import Document, Phase
from neurolink_mitm.core.logs.rows import AttemptRow, DebugRow, RequestRow
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.redact.body import redact_body, redact_fields, redact_value
from neurolink_mitm.core.redact.known_secrets import encoded_forms, secrets_of
from neurolink_mitm.core.redact.text import MASK
from neurolink_mitm.dashboard.page import Context, File, Page, Part, View
from neurolink_mitm.records import har, search
from neurolink_mitm.records.answer_blocks import Block, blocks, events
from neurolink_mitm.records.changes import Change, body_changes, header_changes
from neurolink_mitm.records.format import escape_controls, one_line
from neurolink_mitm.records.pretty_json import pretty
from neurolink_mitm.records.request_timeline import timeline
from neurolink_mitm.records.row_reader import in_order

Row = Mapping[str, Any]

LONGEST_ID = 200
PIECE = 64 * 1024
"""Characters of a body that are shown at once."""
EVENTS = 200
"""Events of a stream that are shown at once."""
NAMES: Mapping[str, str] = {
    Phase.CLIENT_REQUEST: "What the client sent",
    Phase.UPSTREAM_REQUEST: "What went upstream",
    Phase.UPSTREAM_RESPONSE: "What upstream answered",
    Phase.CLIENT_RESPONSE: "What the client got",
}


def request(view: View) -> Context:
    id_ = _id(view)
    record = search.request_record(view.site.home.logs, id_, captured=False)
    mask = _mask(view)
    row = _clean(record.request, RequestRow, mask) if record.request else None
    attempts = [_clean(each, AttemptRow, mask) for each in record.attempts]
    live = None if row else _in_flight(view, id_)
    if live:
        own, tries = _as_rows(live, view.site.now())
        row = _clean(own, RequestRow, mask)
        attempts = [_clean(each, AttemptRow, mask) for each in tries]
    return {
        "id": id_,
        "row": row,
        "attempts": attempts,
        "live": live,
        "timeline": timeline(row, attempts),
        "plain": one_line,
        "max_age_days": view.site.config.logging.max_age_days,
    }


def _id(view: View) -> str:
    return view.query.get("id", "").strip()[:LONGEST_ID]


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
            or max(0.0, (now - _seconds(each["since"])) * 1000),
        }
        for each in live["attempts"]
    ]
    return row, attempts


def _held_ms(live: Row, now: float) -> float:
    """Return how long a request is held by now: since its latest attempt."""
    ends = [each["endedAt"] for each in live["attempts"]]
    return max(0.0, (now - _seconds(max(filter(None, ends), default=live["since"]))) * 1000)


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def _ms_between(start: str, end: str | None) -> float | None:
    return None if end is None else max(0.0, (_seconds(end) - _seconds(start)) * 1000)


# Secrets are masked as rows and bodies are written; what has become one since is masked here.


def _mask(view: View) -> tuple[str, ...]:
    """Return the secrets of the pool and the configuration, in all forms."""
    runtime = view.site.runtime
    own = (runtime.admin_token,) if runtime.admin_token else ()
    secrets = view.site.on_loop(
        lambda: (*own, *secrets_of(runtime.config, runtime.pool.accounts, runtime.environ))
    )
    return encoded_forms(secrets)


def _clean(row: Row, kind: type[msgspec.Struct], known: tuple[str, ...]) -> dict[str, Any]:
    """Return a row with all fields of its kind, which an older version may not have written."""
    values = {
        name: redact_value(value, known) if isinstance(value, str) else value
        for name, value in row.items()
    }
    return dict.fromkeys(kind.__struct_fields__) | values


# What was captured


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a request was changed to on its way upstream, or an answer on its way to the client."""

    title: str
    headers: list[Change]
    body: list[Change]
    same_body: bool
    note: str = ""


def captured(view: View) -> Context:
    id_ = _id(view)
    record = search.request_record(view.site.home.logs, id_)
    known = _mask(view)
    sides = [
        {"number": number, "title": _title(row), "row": _clean(row, DebugRow, known)}
        for number, row in enumerate(record.captured)
    ]
    api = (record.request or {}).get("api") or Api.ANTHROPIC.value
    return {
        "id": id_,
        "sides": sides,
        "changes": list(
            _comparisons(view, record.captured, known, translated=api != Api.ANTHROPIC)
        ),
        "mode": view.site.config.logging.capture_bodies,
        "finished": bool(record.request),
        "plain": one_line,
        "exists": bool(record),
    }


def _title(row: Row) -> str:
    name = NAMES.get(row.get("phase") or "", str(row.get("phase")))
    return f"{name}, attempt {row['attempt']}" if row.get("attempt") else name


def _comparisons(
    view: View, rows: list[dict[str, Any]], known: tuple[str, ...], *, translated: bool
) -> Iterator[Comparison]:
    """Yield what was changed, for each attempt that was captured."""
    by_phase: dict[str, list[Row]] = {}
    for row in rows:
        by_phase.setdefault(row.get("phase") or "", []).append(row)
    asked = by_phase.get(Phase.CLIENT_REQUEST, [])
    for sent in by_phase.get(Phase.UPSTREAM_REQUEST, ()) if asked else ():
        yield _comparison(
            view, f"Request, attempt {sent.get('attempt')}", asked[0], sent, known, translated
        )
    answered = by_phase.get(Phase.UPSTREAM_RESPONSE, [])[-1:]
    for got in by_phase.get(Phase.CLIENT_RESPONSE, ()) if answered else ():
        if answered[0].get("status") == got.get("status"):
            yield _comparison(view, "Answer", answered[0], got, known, translated)


def _comparison(
    view: View, title: str, old: Row, new: Row, known: tuple[str, ...], translated: bool
) -> Comparison:
    headers = header_changes(_fields(old, known), _fields(new, known))
    if old.get("bodyPath") == new.get("bodyPath"):
        return Comparison(title, headers, [], True)
    if translated:
        note = "The body was translated between two APIs: both are below."
        return Comparison(title, headers, [], False, note)
    before, after = _document(view, old), _document(view, new)
    if before is None or after is None or before.truncated or after.truncated:
        note = "The bodies can't be compared: not all of them was captured, or it is deleted."
        return Comparison(title, headers, [], False, note)
    changes = body_changes(_text(before, known).encode(), _text(after, known).encode())
    return Comparison(title, headers, changes, not changes)


def _fields(row: Row, known: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = (tuple(each) for each in row.get("headers") or () if len(each) == 2)
    fields = tuple(
        (str(n).encode("utf-8", "replace"), str(v).encode("utf-8", "replace")) for n, v in pairs
    )
    return redact_fields(fields, known)


def _document(view: View, row: Row) -> Document | None:
    return read_body(view.site.home.logs, row.get("bodyPath"))


def _text(document: Document, known: tuple[str, ...]) -> str:
    """Return a body as text, without the secrets of `known`."""
    text = har.text_of(document)
    for secret in known:
        text = text.replace(secret, MASK)
    return text


def side(view: View) -> Context:
    """Return one captured side, with a piece of its body."""
    rows = in_order(search.rows_of(view.site.home.logs, "proxy-debug", _id(view)))
    number, at = _number(view, "side"), _number(view, "at")
    known = _mask(view)
    row = _clean(rows[number], DebugRow, known) if number < len(rows) else None
    base = {
        "id": _id(view),
        "number": number,
        "title": _title(row) if row else "",
        "at": at,
        "plain": one_line,
        "controls": escape_controls,
    }
    document = _document(view, row) if row else None
    if row is None or document is None:
        return {
            **base,
            "row": row,
            "headers": _fields(row, known) if row else [],
            "body": None,
        }
    text = _text(document, known)
    shown = _shown(view.query.get("view", ""), document, text)
    body = _body(shown, text, at, known)
    return {
        **base,
        "row": row,
        "headers": _fields(row, known) if at == 0 else [],
        "body": {
            **body,
            "view": shown,
            "document": document,
            "views": list(_views(document, text)),
        },
    }


def _number(view: View, name: str) -> int:
    text = view.query.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _views(document: Document, text: str) -> Iterator[str]:
    """Yield the ways in which a body can be shown, the best one first."""
    stream = text.lstrip()[:6] in ("event:", "data: ") or text.startswith(":")
    if stream or '"content"' in text[:PIECE]:
        yield "read"
    if document.encoding == "json":
        yield "pretty"
    if stream:
        yield "events"
    yield "raw"


def _shown(wanted: str, document: Document, text: str) -> str:
    views = list(_views(document, text))
    if document.encoding == "json" and '"messages"' in text[:PIECE]:
        views = [each for each in views if each != "read"]
    return wanted if wanted in views else views[0]


def _body(shown: str, text: str, at: int, known: tuple[str, ...]) -> dict[str, Any]:
    """Return a piece of a body, in the form of the view, and where the next one begins."""
    if shown == "events":
        listed = events(text.encode("utf-8", "replace"))
        listing = [(each.name, redact_body(each.data.decode("utf-8", "replace")[:PIECE], known))
                   for each in listed[at : at + EVENTS]]  # fmt: skip
        return {"events": listing, "next": _next(at + EVENTS, len(listed)), "total": len(listed)}
    if shown == "read":
        said = [each for each in blocks(text.encode("utf-8", "replace")) if each.text]
        return {
            "blocks": [_shortened(each, known) for each in said],
            "next": None,
            "total": len(said),
        }
    if shown == "pretty":
        text = pretty(text) or text
    piece = redact_body(text[at : at + PIECE], known)
    return {"text": piece, "next": _next(at + PIECE, len(text)), "total": len(text)}


def _shortened(block: Block, known: tuple[str, ...]) -> tuple[str, str, str]:
    text = redact_body(block.text[:PIECE], known)
    cut = len(block.text) - PIECE
    return block.kind, block.name, text + (f"… ({cut} more characters)" if cut > 0 else "")


def _next(at: int, total: int) -> int | None:
    return at if at < total else None


def har_file(view: View) -> tuple[str, Iterable[str]]:
    """Return the name and the text of the HTTP archive of a request."""
    logs, id_ = view.site.home.logs, _id(view)
    known = _mask(view)
    return "request.har", _archive(
        search.har_entries(logs, search.rows_of(logs, "proxy-debug", id_)), known
    )


def _archive(entries: Iterator[str], known: tuple[str, ...]) -> Iterator[str]:
    yield har.HEAD
    for number, entry in enumerate(entries):
        for secret in known:
            entry = entry.replace(secret, MASK)
        yield f",{entry}" if number else entry
    yield har.TAIL


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
