"""Takes secrets out of text that is about to be written."""

from __future__ import annotations

import re

from neurolink_mitm.core.token_formats import NEEDLES, any_form

STARS = "***"

START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
"""Where a word begins, in JSON too: the n of `\\nsk-…` is none of it."""

TOKEN = re.compile(
    rf"""
    sk-ant-[A-Za-z0-9_-]{{4,}}              # Anthropic's keys and OAuth tokens
  | {START}(?: {any_form()} | (?i:bearer\s+)[A-Za-z0-9._~+/=-]{{8,}} )
    """,
    re.VERBOSE,
)

_PARAMETER = re.compile(
    r"""(?ix) ([?&] (?: (?:access_|refresh_|id_)?token | (?:x-)?api[_-]?key | key
                      | client_secret | password | code ) =) [^&\s]+"""
)


def may_hold_secret(text: str) -> bool:
    """Whether `redact` could find anything, for who has many short texts in a long one."""
    return _may_hold_token(text) or (_has_query(text) and _PARAMETER.search(text) is not None)


def redact(text: str) -> str:
    """`text` with stars for whatever is shaped like a key or token, or is named so in a query."""
    if _may_hold_token(text):
        text = TOKEN.sub(STARS, text)
    return _PARAMETER.sub(rf"\1{STARS}", text) if _has_query(text) else text


def _may_hold_token(text: str) -> bool:
    return any(map(text.__contains__, NEEDLES)) or "bearer" in text.lower()


def _has_query(text: str) -> bool:
    return "?" in text or "&" in text


def without_passwords(text: str) -> str:
    """The same with stars for user and password in URLs."""
    return _USER.sub(f"://{STARS}@", text)


_USER = re.compile(r"://[^/\s@]+@")
