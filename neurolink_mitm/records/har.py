"""Captured attempts as HAR 1.2. http://www.softwareishard.com/blog/har-12-spec/"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec

from neurolink_mitm import __version__
from neurolink_mitm.core.logs.capture import Document, Phase
from neurolink_mitm.core.openai.api import Api, api_of
from neurolink_mitm.records.row_reader import LoggedAttempt

Row = Mapping[str, Any]
HEAD = f'{{"log":{{"version":"1.2","creator":{{"name":"neurolink","version":"{__version__}"}},"entries":['
TAIL = "]}}\n"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_URL = re.compile(r"(https?://[^/?#]*)?(.*)", re.DOTALL)
_NO_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LEGAL = "%!$&'()*+,;=:@/?#~"
"""Characters of a URL beside letters and digits. https://www.rfc-editor.org/rfc/rfc3986#section-2.2"""
_WAITING = 1000
"""Requests that wait for their response: its row follows soon."""


def pairs(rows: Iterable[Row]) -> Iterator[tuple[Row, Row | None]]:
    """Yield each attempt's request and response, if there is one.

    And the client's, where there is no attempt, or where attempts have another form.
    """
    waiting: dict[tuple[str, int | None], Row] = {}
    for row in rows:
        key = row["requestId"], row.get("attempt")
        match row["phase"]:
            case Phase.UPSTREAM_REQUEST:
                clients = row["requestId"], None
                if clients in waiting and not _is_translated(waiting[clients]):
                    del waiting[clients]
                waiting[key] = row
            case Phase.CLIENT_REQUEST:
                waiting[key] = row
            case Phase.UPSTREAM_RESPONSE | Phase.CLIENT_RESPONSE if key in waiting:
                yield waiting.pop(key), row
        if len(waiting) > _WAITING:
            yield waiting.pop(next(iter(waiting))), None
    for request in waiting.values():
        yield request, None


def _is_translated(row: Row) -> bool:
    """Tell whether upstream was asked in another form than this request of a client's has."""
    return api_of(row.get("method") or "", row.get("url") or "") is not Api.ANTHROPIC


def entry(
    request: Row,
    response: Row | None,
    request_body: Document | None,
    response_body: Document | None,
    times: LoggedAttempt | None = None,
) -> str:
    """Return the HAR entry of one attempt; its times are milliseconds, `times` those of its connection."""
    took = max(0, (response or {}).get("durationMs") or 0)
    number, account = request.get("attempt"), request.get("account")
    members = {
        "startedDateTime": request["timestamp"],
        "time": took,
        "request": _request(request, request_body),
        "response": _response(response or {}, response_body),
        "cache": {},
        "timings": _timings(took, times),
        "comment": f"{request['requestId']}, attempt {number} as {account}" if number
        else request["requestId"],
    }  # fmt: skip
    return msgspec.json.encode(members).decode()


def _timings(took: float, times: LoggedAttempt | None) -> dict[str, float]:
    """Return the phases, whose sum is `took`. HAR counts TLS as a part of connecting; -1 is for what was not done."""
    if times is None or times.connectMs is None:
        return {"send": 0, "wait": took, "receive": 0}
    tls = _within(times.tlsMs or 0, took)
    connect = _within(times.connectMs + tls, took)
    left = took - connect
    wait = left if times.waitMs is None else _within(times.waitMs, left)
    phases = {
        "connect": connect or -1,
        "ssl": tls or -1,
        "send": 0,
        "wait": wait,
        "receive": left - wait,
    }
    return {name: round(ms, 2) for name, ms in phases.items()}


def _within(ms: float, most: float) -> float:
    """Return `ms`, which a row may have any number for, between 0 and `most`."""
    return min(max(ms, 0), most)


def _request(row: Row, body: Document | None) -> dict[str, Any]:
    url = _url(row)
    members = {
        "method": row.get("method") or "",
        "url": url,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(row),
        "queryString": [
            {"name": name, "value": value}
            for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True)
        ],
        "headersSize": -1,
        "bodySize": row.get("bodyBytes", -1),
    }
    if body:
        members["postData"] = {
            "mimeType": body.contentType or "",
            "params": [],
            "text": text_of(body),
        }
    return members


def _url(row: Row) -> str:
    """Return an absolute, valid URL: a client may send a path only, and any byte in it."""
    origin, path = _URL.findall(row.get("url") or "")[0]
    host = next((value for name, value in row.get("headers") or () if name.lower() == "host"), "")
    path = quote(_NO_ESCAPE.sub("%25", path), safe=_LEGAL)
    return (origin or f"http://{host or 'localhost'}") + path


def _response(row: Row, body: Document | None) -> dict[str, Any]:
    status = row.get("status") or 0
    return {
        "status": status,
        "statusText": _PHRASES.get(status, ""),
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": _headers(row),
        "content": {
            "size": row.get("bodyBytes", 0),
            "mimeType": (body.contentType if body else None) or "",
            "text": text_of(body) if body else "",
        },
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": row.get("bodyBytes", -1),
    }


def _headers(row: Row) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in row.get("headers") or ()]


def text_of(body: Document) -> str:
    """Return a body as it was sent, with secrets masked."""
    if body.encoding == "json":
        return bytes(body.body).decode()
    return str(msgspec.json.decode(body.body) or "")
