"""Takes secrets out of text that is about to be written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from heapq import merge
from io import StringIO
from operator import attrgetter

import msgspec

from neurolink_mitm.core import steps
from neurolink_mitm.core.token_formats import NEEDLES, Tokens

STARS = "***"
LONGEST = 2048
"""Characters of a path, a name or an error text that are logged."""

_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
"""Where a word begins, in JSON too: the n of `\\nsk-…` is none of it."""

_TOKENS = Tokens(_START, {"sk-": r"sk-ant-[A-Za-z0-9_-]{4,}"})  # Anthropic's, wherever they stand
_SCHEME = re.compile(r"[Bb](?i:earer)")
_BEARER = re.compile(rf"{_START}(?i:bearer)\s++[A-Za-z0-9._~+/=-]{{8,}}")

_PARAMETER = re.compile(
    r"""(?ix) ([?&] (?: (?:access_|refresh_|id_)?token | (?:x-)?api[_-]?key | key
                      | client_secret | password | code ) =) [^&\s]+"""
)


class Found(msgspec.Struct, frozen=True, gc=False):
    """A secret: `text[start:end]`, and what is to stand there. There may be a million: none is the collector's."""

    start: int
    end: int
    stars: str = STARS


def may_hold_secret(text: str) -> bool:
    """Whether `redact` could find anything, for who has many short texts in a long one."""
    return _may_hold_token(text) or (_has_query(text) and _PARAMETER.search(text) is not None)


def redact(text: str) -> str:
    """`text` with stars for whatever is shaped like a key or token, or is named so in a query."""
    if _may_hold_token(text):
        text = replaced(text, merged(*tokens(text)))
    return _PARAMETER.sub(rf"\1{STARS}", text) if _has_query(text) else text


def short(text: str, longest: int = LONGEST) -> str:
    """What comes from others, fit to be searched and logged: cut, and not in the middle of a word."""
    if len(text) <= longest:
        return text
    text = text[:longest]
    return text[: max(text.rfind(end) + 1 for end in "/?&=,; \t\r\n\"'")] + "…"


def tokens(text: str) -> Iterator[Iterator[Found]]:
    """Whatever is shaped like a key or token: for each form in order."""
    for form in _TOKENS.forms:
        yield (Found(*at) for at in form.find(text))
    yield _bearers(text)


def _bearers(text: str) -> Iterator[Found]:
    for scheme in steps.matches(_SCHEME, text, len("bearer")):
        if match := _BEARER.match(text, scheme.start()):
            yield Found(*match.span())


def merged(*found: Iterator[Found]) -> Iterator[Found]:
    """All of them in order, where each is in order; none overlaps another.

    One after the other: to sort a million takes as long as a stall.
    """
    last: Found | None = None
    for each in merge(*found, key=attrgetter("start")):
        if last and each.start < last.end:
            each = Found(last.start, max(last.end, each.end), last.stars)
        elif last:
            yield last
        last = each
    if last:
        yield last


def replaced(text: str, found: Iterable[Found]) -> str:
    """The text with stars, where they are in order and none overlaps another."""
    result = StringIO(newline="")
    end = 0
    for each in found:
        result.write(text[end : each.start])
        result.write(each.stars)
        end = each.end
    if not end:
        return text
    result.write(text[end:])
    return result.getvalue()


def _may_hold_token(text: str) -> bool:
    return any(map(text.__contains__, NEEDLES)) or "bearer" in text.lower()


def _has_query(text: str) -> bool:
    return "?" in text or "&" in text


def without_passwords(text: str) -> str:
    """The text with stars for user and password in URLs."""
    return _USER.sub(f"://{STARS}@", text)


_USER = re.compile(r"://[^/\s@]+@")
