"""Strict validation of a request's head: RFC 9112.

Two servers that read one head differently can be made to see different requests (request smuggling). So an odd head is
refused and never repaired. The refusal does not repeat what the client sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.headers import Fields

LONGEST_METHOD = 32
"""Characters of a method; a longer one is a 400."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[^\x00-\x08\x0a-\x1f\x7f]"
_LINE = re.compile(rb"(%b{1,%d}+) ([^\x00-\x20\x7f]++) HTTP/(.)\.(.)" % (_TOKEN, LONGEST_METHOD))
_BEGINNING = re.compile(rb"%b{1,%d}+(?: |\Z)" % (_TOKEN, LONGEST_METHOD))
_FIELDS = re.compile(rb"(?:%b++:%b*+\n)*+" % (_TOKEN, _VALUE))
_FIELD = re.compile(rb"%b++:%b*+" % (_TOKEN, _VALUE))
_NAMED = re.compile(rb"%b++:" % _TOKEN)
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")


def _malformed(message: str) -> Reply:
    return Reply(400, "invalid_request_error", message)


NO_HTTP = _malformed("malformed request line: this port speaks HTTP/1.1")
VERSION = _malformed("this port speaks HTTP/1.1 and HTTP/1.0 only")
TUNNEL = _malformed("this is no forward proxy: name it in ANTHROPIC_BASE_URL, not in HTTPS_PROXY")
FORWARD = _malformed("the request target has to be a path: name this proxy in ANTHROPIC_BASE_URL")
FOLDED = _malformed("a header field must not be folded over several lines")
BAD_NAME = _malformed("malformed request head: a header line without a valid name")
BAD_VALUE = _malformed("malformed request head: a control character in a header field")


def opening_fault(data: bytes) -> Reply | None:
    """Return the refusal of an incomplete head, if its beginning is wrong: other protocols get their answer at once."""
    if data in (b"", b"\r"):  # half an empty line
        return None
    line, end, _ = data.partition(b"\n")
    if end:
        return _line_fault(line.removesuffix(b"\r"))
    return None if _BEGINNING.match(data[: LONGEST_METHOD + 1]) else NO_HTTP


def fault(lines: Sequence[bytes]) -> Reply | None:
    """Return the refusal of a complete head (lines without their ends); None if it is well-formed."""
    refusal = _line_fault(lines[0])
    if refusal is None and not _FIELDS.fullmatch(b"\n".join((*lines[1:], b""))):
        return _field_fault(lines[1:])
    return refusal


def _line_fault(line: bytes) -> Reply | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return NO_HTTP
    if match[3] != b"1" or match[4] not in (b"0", b"1"):
        return VERSION
    if match[1] == b"CONNECT":
        return TUNNEL
    return None if match[2].startswith(b"/") else FORWARD


def _field_fault(lines: Sequence[bytes]) -> Reply:
    bad = next(line for line in lines if not _FIELD.fullmatch(line))
    if bad.startswith((b" ", b"\t")):
        return FOLDED
    return BAD_VALUE if _NAMED.match(bad) else BAD_NAME


def body_size(fields: Fields, *, http10: bool) -> int | None:
    """Return the size of the body in bytes; None if it is chunked. RFC 9112 section 6.3.

    Raises:
        ValueError: the end of the body is ambiguous; the text is fit for the client.
    """
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise ValueError("more than one content-length or transfer-encoding")
    if codings:
        if http10 or codings[0].strip(b" \t").lower() != b"chunked":
            raise ValueError("the only transfer-encoding here is chunked, and it takes HTTP/1.1")
        return None
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise ValueError("content-length has to be a decimal number")
    return int(lengths[0]) if lengths else 0
