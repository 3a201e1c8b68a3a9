"""What was captured of a request: headers and bodies, and how they were changed on their way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurolink_mitm.adapters.bodies import read_body
from neurolink_mitm.core.logs.capture import Document, Phase
from neurolink_mitm.core.logs.rows import DebugRow
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.redact.body import redact_body, redact_fields
from neurolink_mitm.core.redact.text import MASK
from neurolink_mitm.dashboard.page import Context, View
from neurolink_mitm.dashboard.views.logged import Row, id_of, masked, secrets_of_proxy
from neurolink_mitm.records import har, search
from neurolink_mitm.records.answer_blocks import Block, blocks, events
from neurolink_mitm.records.changes import Change, body_changes, header_changes
from neurolink_mitm.records.format import escape_controls, one_line
from neurolink_mitm.records.pretty_json import pretty
from neurolink_mitm.records.row_reader import in_order

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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a request was changed to on its way upstream, or an answer on its way to the client."""

    title: str
    headers: list[Change]
    body: list[Change]
    same_body: bool
    note: str = ""


def captured(view: View) -> Context:
    id_ = id_of(view)
    record = search.request_record(view.site.home.logs, id_)
    secrets = secrets_of_proxy(view)
    sides = [
        {"number": number, "title": _title(row), "row": masked(row, DebugRow, secrets)}
        for number, row in enumerate(record.captured)
    ]
    api = (record.request or {}).get("api") or Api.ANTHROPIC.value
    return {
        "id": id_,
        "sides": sides,
        "changes": list(
            _comparisons(view, record.captured, secrets, translated=api != Api.ANTHROPIC)
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
    view: View, rows: list[dict[str, Any]], secrets: tuple[str, ...], *, translated: bool
) -> Iterator[Comparison]:
    """Yield what was changed, for each attempt that was captured."""
    by_phase: dict[str, list[Row]] = {}
    for row in rows:
        by_phase.setdefault(row.get("phase") or "", []).append(row)
    asked = by_phase.get(Phase.CLIENT_REQUEST, [])
    for sent in by_phase.get(Phase.UPSTREAM_REQUEST, ()) if asked else ():
        yield _comparison(
            view, f"Request, attempt {sent.get('attempt')}", asked[0], sent, secrets, translated
        )
    answered = by_phase.get(Phase.UPSTREAM_RESPONSE, [])[-1:]
    for got in by_phase.get(Phase.CLIENT_RESPONSE, ()) if answered else ():
        if answered[0].get("status") == got.get("status"):
            yield _comparison(view, "Answer", answered[0], got, secrets, translated)


def _comparison(
    view: View, title: str, old: Row, new: Row, secrets: tuple[str, ...], translated: bool
) -> Comparison:
    headers = header_changes(_fields(old, secrets), _fields(new, secrets))
    if old.get("bodyPath") == new.get("bodyPath"):
        return Comparison(title, headers, [], True)
    if translated:
        note = "The body was translated between two APIs: both are below."
        return Comparison(title, headers, [], False, note)
    before, after = _document(view, old), _document(view, new)
    if before is None or after is None or before.truncated or after.truncated:
        note = "The bodies can't be compared: not all of them was captured, or it is deleted."
        return Comparison(title, headers, [], False, note)
    changes = body_changes(_text(before, secrets).encode(), _text(after, secrets).encode())
    return Comparison(title, headers, changes, not changes)


def _fields(row: Row, secrets: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = (tuple(each) for each in row.get("headers") or () if len(each) == 2)
    fields = tuple(
        (str(n).encode("utf-8", "replace"), str(v).encode("utf-8", "replace")) for n, v in pairs
    )
    return redact_fields(fields, secrets)


def _document(view: View, row: Row) -> Document | None:
    return read_body(view.site.home.logs, row.get("bodyPath"))


def _text(document: Document, secrets: tuple[str, ...]) -> str:
    """Return a body as text, without `secrets`."""
    text = har.text_of(document)
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def side(view: View) -> Context:
    """Return one captured side, with a piece of its body."""
    rows = in_order(search.rows_of(view.site.home.logs, "proxy-debug", id_of(view)))
    number, at = _number(view, "side"), _number(view, "at")
    secrets = secrets_of_proxy(view)
    row = masked(rows[number], DebugRow, secrets) if number < len(rows) else None
    base = {
        "id": id_of(view),
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
            "headers": _fields(row, secrets) if row else [],
            "body": None,
        }
    text = _text(document, secrets)
    chosen = _chosen_view(view.query.get("view", ""), document, text)
    body = _body(chosen, text, at, secrets)
    return {
        **base,
        "row": row,
        "headers": _fields(row, secrets) if at == 0 else [],
        "body": {
            **body,
            "view": chosen,
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


def _chosen_view(wanted: str, document: Document, text: str) -> str:
    views = list(_views(document, text))
    if document.encoding == "json" and '"messages"' in text[:PIECE]:
        views = [each for each in views if each != "read"]
    return wanted if wanted in views else views[0]


def _body(chosen: str, text: str, at: int, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return a piece of a body, in the form of the view, and where the next one begins."""
    if chosen == "events":
        listed = events(text.encode("utf-8", "replace"))
        listing = [(each.name, redact_body(each.data.decode("utf-8", "replace")[:PIECE], secrets))
                   for each in listed[at : at + EVENTS]]  # fmt: skip
        return {"events": listing, "next": _next(at + EVENTS, len(listed)), "total": len(listed)}
    if chosen == "read":
        texts = [each for each in blocks(text.encode("utf-8", "replace")) if each.text]
        return {
            "blocks": [_shortened(each, secrets) for each in texts],
            "next": None,
            "total": len(texts),
        }
    if chosen == "pretty":
        text = pretty(text) or text
    piece = redact_body(text[at : at + PIECE], secrets)
    return {"text": piece, "next": _next(at + PIECE, len(text)), "total": len(text)}


def _shortened(block: Block, secrets: tuple[str, ...]) -> tuple[str, str, str]:
    text = redact_body(block.text[:PIECE], secrets)
    cut = len(block.text) - PIECE
    return block.kind, block.name, text + (f"… ({cut} more characters)" if cut > 0 else "")


def _next(at: int, total: int) -> int | None:
    return at if at < total else None


def har_file(view: View) -> tuple[str, Iterable[str]]:
    """Return the name and the text of the HTTP archive of a request."""
    logs, id_ = view.site.home.logs, id_of(view)
    secrets = secrets_of_proxy(view)
    return "request.har", _archive(
        search.har_entries(logs, search.rows_of(logs, "proxy-debug", id_)), secrets
    )


def _archive(entries: Iterator[str], secrets: tuple[str, ...]) -> Iterator[str]:
    yield har.HEAD
    for number, entry in enumerate(entries):
        for secret in secrets:
            entry = entry.replace(secret, MASK)
        yield f",{entry}" if number else entry
    yield har.TAIL
