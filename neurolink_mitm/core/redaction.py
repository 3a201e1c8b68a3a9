"""Takes secrets out of text that is about to be written."""

from __future__ import annotations

import re

STARS = "***"

_TOKEN = re.compile(
    r"""
    sk-ant-[A-Za-z0-9_-]{4,}              # Anthropic's keys and OAuth tokens
  | \b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}     # keys of OpenAI's form
  | \beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*   # JSON web tokens
  | \bAIza[A-Za-z0-9_-]{30,}              # Google API keys
  | (?i:\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}
    """,
    re.VERBOSE,
)

_HINT = re.compile(r"[spr]k-|eyJ|AIza|(?i:bearer)")
"""Occurs in whatever `_TOKEN` matches, and is found in a tenth of the time: most text holds no token."""

_PARAMETER = re.compile(
    r"""(?ix) ([?&] (?: (?:access_|refresh_|id_)?token | (?:x-)?api[_-]?key | key
                      | client_secret | password | code ) =) [^&\s]+"""
)


def redact(text: str) -> str:
    """`text` with stars for whatever is shaped like a key or token, or is named so in a query."""
    if _HINT.search(text):
        text = _TOKEN.sub(STARS, text)
    return _PARAMETER.sub(rf"\1{STARS}", text) if "?" in text or "&" in text else text


def without_passwords(text: str) -> str:
    """The same with stars for user and password in URLs."""
    return _USER.sub(f"://{STARS}@", text)


_USER = re.compile(r"://[^/\s@]+@")
