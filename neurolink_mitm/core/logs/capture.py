"""Captured requests: the four sides of a request, and how they are stored, with secrets masked."""

from __future__ import annotations

import enum
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.logs.rows import DebugRow, iso
from neurolink_mitm.core.redact.body import redact_body, redact_fields, redact_value
from neurolink_mitm.core.redact.search import WINDOW
from neurolink_mitm.core.redact.stream import redact_stream
from neurolink_mitm.core.redact.text import redact, short, without_passwords
from neurolink_mitm.core.request.headers import Fields, get

LIMIT = 8 * 1024 * 1024
"""Bytes of a body that are stored; the rest is cut off."""
_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_PIECE = 1 << 13
"""Bytes that are decoded at once."""


class Phase(enum.StrEnum):
    """The four sides of a request."""

    CLIENT_REQUEST = "client_request"  # as the client sent it
    UPSTREAM_REQUEST = "upstream_request"  # as an attempt sent it on
    UPSTREAM_RESPONSE = "upstream_response"  # the response to that attempt, as far as it came
    CLIENT_RESPONSE = "client_response"  # what was sent to the client


@dataclass(slots=True, eq=False)
class Body:
    """A body, written once and shared by the sides that have the same one.

    `content` may be cut off, `size` is the whole body's in bytes. `path` is set when it is written.
    """

    content: bytes
    size: int
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """One side of a request. `at` is seconds since the epoch, `seconds` its duration."""

    request_id: str
    at: float
    phase: Phase
    fields: Fields
    body: Body | None
    attempt: int | None = None
    account: str | None = None
    method: str | None = None
    url: str | None = None
    status: int | None = None
    seconds: float | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A stored body. `encoding` is `json` (`body` is that JSON), `text` (a string) or `omitted` (null)."""

    encoding: str
    bytes: int
    truncated: bool
    contentType: str | None
    body: msgspec.Raw


def debug_row(captured: Captured, known: Sequence[str] = ()) -> DebugRow:
    """Return the row of one side; secrets of `known` are masked whatever their form."""
    body = captured.body
    return DebugRow(
        timestamp=iso(captured.at),
        requestId=captured.request_id,
        attempt=captured.attempt,
        phase=captured.phase.value,
        account=captured.account,
        method=captured.method,
        url=without_passwords(redact_value(short(encodable(captured.url)), known))
        if captured.url
        else None,
        status=captured.status,
        durationMs=None if captured.seconds is None else round(captured.seconds * 1000, 1),
        headers=redact_fields(captured.fields, known),
        bodyPath=body.path if body else None,
        bodyBytes=body.size if body else 0,
    )


def document(body: Body, fields: Fields, known: Sequence[str] = ()) -> bytes:
    """Return the stored form of a body: secrets masked, those of `known` whatever their form; all else unchanged."""
    kind = get(fields, b"content-type")
    truncated = body.size > len(body.content)
    plain = unpacked(body.content, (get(fields, b"content-encoding") or "").strip().lower())
    if plain is not None and len(plain) > LIMIT:
        plain, truncated = plain[:LIMIT], True
    encoding, value = ("omitted", b"null") if plain is None else _masked(plain, kind or "", known)
    return msgspec.json.encode(
        Document(
            encoding=encoding,
            bytes=body.size,
            truncated=truncated,
            contentType=kind and redact(short(encodable(kind), 256)),
            body=msgspec.Raw(value),
        )
    )


def _masked(content: bytes, kind: str, known: Sequence[str]) -> tuple[str, bytes]:
    text = _decoded(content)
    stream = kind.startswith("text/event-stream")
    clean = redact_stream(text, known) if stream else redact_body(text, known)
    data = clean.encode()
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
        return "json", data
    except UNREADABLE:
        return "text", b'"%s"' % b"".join(_escaped(clean))


def _decoded(content: bytes) -> str:
    """Decode UTF-8; anything else in pieces, since each invalid byte costs an exception."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        decode = getincrementaldecoder("utf-8")("backslashreplace").decode
        pieces = (decode(content[at : at + _PIECE]) for at in range(0, len(content), _PIECE))
        return "".join((*pieces, decode(b"", final=True)))


def _escaped(text: str) -> Iterator[bytes]:
    """Yield the text as it stands between the quotes of JSON."""
    for at in range(0, len(text), WINDOW):
        yield msgspec.json.encode(text[at : at + WINDOW])[1:-1]


def unpacked(content: bytes, coding: str) -> bytes | None:
    """Return the decompressed content, up to one byte beyond `LIMIT`.

    None if it can't be searched for secrets, and so must not be written.
    """
    if coding in ("", "identity"):
        return content
    if coding not in _WINDOW_BITS:
        return None
    try:
        return zlib.decompressobj(_WINDOW_BITS[coding]).decompress(content, LIMIT + 1)
    except zlib.error:
        return None


def read_document(data: bytes) -> Document:
    """Parse a stored body. Raises `ValueError`."""
    try:
        return msgspec.json.decode(data, type=Document)
    except UNREADABLE as e:
        raise ValueError(str(e)) from e


def encodable(text: str) -> str:
    """Escape lone surrogates, which mitmproxy makes of bytes that are no text; JSON can't hold them."""
    return text.encode(errors="backslashreplace").decode()
