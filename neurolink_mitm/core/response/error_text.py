"""Type and message of an error body: in Anthropic's form, wrapped in another's form, an HTML page, or plain text."""

from __future__ import annotations

import functools
import re

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE

LONGEST = 1000
"""Characters of an error message that are stored."""
SEARCHED = 4000
"""Bytes of an error body that are searched for a wording of `errors.RULES`."""

_LINE_ENDS = re.compile(r"\\{1,8}[nrt](?=[\s\\`'\"])")
_QUOTES = re.compile(
    r"\\{1,8}u(?:00(?:22|27|60)|20(?:18|19|1c|1d))|[`'\"\\\u2018\u2019\u201c\u201d\u00ab\u00bb]"
)
_PAGE = re.compile(
    r"(?:\s|\ufeff|<!--(?:(?!-->).)*-->)*<(?:!doctype\s+html|html|head|body|title)\b", re.S
)
_EDGE = re.compile(r"\s*error code: 1\d\d\d\b")
"""https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/"""


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Error


_decoder = msgspec.json.Decoder(_ErrorBody)


def read_error(body: bytes) -> tuple[str, str]:
    """Return type and message of an error body in Anthropic's form; of any other, its first 300 bytes as message."""
    try:
        error = _decoder.decode(body)
    except UNREADABLE:
        return "", body[:300].decode("utf-8", "replace")
    return error.error.type[:128], error.error.message[:LONGEST]


@functools.lru_cache(maxsize=16)  # each rule of a failure asks
def wording(message: str, body: bytes) -> str:
    """Return message and body normalized for the search: in lower case, without quotes, with single spaces.

    The same wording comes in backticks, in quotes, without them, and inside of other errors with another message.
    """
    text = message[:SEARCHED] + "\n" + body[:SEARCHED].decode("utf-8", "replace")
    plain = _QUOTES.sub("", _LINE_ENDS.sub(" ", text.lower()))
    return " ".join(plain.split())


def is_page(body: bytes, content_type: str = "") -> bool:
    """Tell whether a body is an HTML page, or the line of text of a CDN's edge, and no response of an API."""
    start = body[:1000].decode("utf-8", "replace").lower()
    if _PAGE.match(start) or _EDGE.match(start):
        return True
    is_html = content_type.strip().lower().startswith("text/html")
    return is_html and not start.lstrip().startswith("{")
