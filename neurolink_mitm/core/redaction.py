"""Takes secrets out of text that is about to be written."""

from __future__ import annotations

import re

STARS = "***"

START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
"""Where a word begins, in JSON too: the n of `\\nsk-…` is none of it."""

TOKEN = re.compile(
    rf"""
    sk-ant-[A-Za-z0-9_-]{{4,}}              # Anthropic's keys and OAuth tokens
  | {START}(?:
        [spr]k-[A-Za-z0-9_-]{{16,}}         # keys of OpenAI's form, and those of our own clients
      | eyJ[A-Za-z0-9_-]{{10,}}\.[A-Za-z0-9_-]{{10,}}\.[A-Za-z0-9_-]*   # JSON web tokens
      | AIza[A-Za-z0-9_-]{{30,}}            # Google API keys
      | gh[oprsu]_[A-Za-z0-9]{{20,}} | github_pat_\w{{20,}}
      | xox[abeprs]-[A-Za-z0-9-]{{10,}}     # Slack
      | (?:AKIA|ASIA)[A-Z0-9]{{16}}         # AWS
      | (?i:bearer\s+)[A-Za-z0-9._~+/=-]{{8,}}
    )
    """,
    re.VERBOSE,
)

PREFIXES = (
    "sk-", "pk-", "rk-", "eyJ", "AIza", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_",
    "xoxa-", "xoxb-", "xoxe-", "xoxp-", "xoxr-", "xoxs-", "AKIA", "ASIA",
)  # fmt: skip
"""One of them begins whatever `TOKEN` matches but a bearer: to look for them is a tenth of the work."""
HINTS = ("k-", "eyJ", "AIza", "gh", "github_pat_", "xox", "AKIA", "ASIA")
"""Where none of these is, there is none of the prefixes."""

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
    hinted = any(map(text.__contains__, HINTS)) and any(map(text.__contains__, PREFIXES))
    return hinted or "bearer" in text.lower()


def _has_query(text: str) -> bool:
    return "?" in text or "&" in text


def without_passwords(text: str) -> str:
    """The same with stars for user and password in URLs."""
    return _USER.sub(f"://{STARS}@", text)


_USER = re.compile(r"://[^/\s@]+@")
