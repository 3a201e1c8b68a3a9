r"""Validation of a request's path: it must mean the same to every server, so that our decision holds upstream, too.

Servers normalize a path differently: they decode it once, twice or not at all, take `\` for `/`, cut off `;parameters`,
drop tabs and NULs, fold doubled slashes, letters and wide characters, and resolve dot segments at any point between. A
request whose path two servers could read differently is not sent. RFC 3986 section 6.2 lists the forms, RFC 9110
section 17.1 the harm.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from neurolink_mitm.core.exchange import Kind

MESSAGES_PATH = "/v1/messages"
COUNT_TOKENS_PATH = "/v1/messages/count_tokens"
_INFERENCE = (MESSAGES_PATH, COUNT_TOKENS_PATH)

MAX_PATH = 8192
"""Characters of a path; a longer one is refused. RFC 9110 section 4.1 asks for 8000 at least."""
MAX_WIDE = 1024
"""Characters of a path that is not ASCII; a longer one is refused: NFKC can make eighteen characters of one."""
MAX_DECODINGS = 4
"""Times that a path is percent-decoded; a path that has more layers is refused."""

_API = re.compile(
    r"""/v1
    (?: / (?: [A-Za-z0-9_~!$&'()*+,=:@.-]                        # RFC 3986's `pchar` without `;`
            | %(?: 2[1246-9A-Ca-c] | 3[ACDEacde] | 40 | 5[BDEbde] | 60 | 7[B-Eb-e])  # escapes that hide nothing
            | (?<!/)%20(?!/|\Z)                                  # a space, but not where it may be trimmed
          )++ (?<!\.)                                            # neither dot segments nor dots to be trimmed
    )* /?""",
    re.VERBOSE,
)
_LIKE_SLASHES_AND_DOTS = str.maketrans(
    {"\\": "/", "\u2044": "/", "\u2215": "/", "\u2216": "/", "\u29f5": "/", "\u29f8": "/",
     "\u3002": "."}
)  # fmt: skip
"""Characters that Windows maps to `/` and `.` where it needs a smaller character set; NFKC does not fold them."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_SEGMENT_ENDS = re.compile(r"[;?#]")
_DOTS = re.compile(r"\s*\.[\s.]*")


def is_plain(kind: Kind | None, method: str, path: str) -> bool:
    """Tell whether a request of this kind is of the same kind for every server.

    On an account the path stays under `/v1/`, and is inference only if `kind` is. A forwarded one stays outside of
    `/v1/`. No path leaves the prefix of a base URL.
    """
    bare = path.partition("?")[0]
    if len(bare) > MAX_PATH or "#" in path:  # no target has a fragment: RFC 9112 section 3.2
        return False
    if kind is Kind.FORWARD:
        return _is_forwardable(bare)
    if bare in _INFERENCE:
        return method == method.upper()
    if kind is not Kind.API or _API.fullmatch(bare) is None:
        return False
    return bare.rstrip("/").lower() not in _INFERENCE


def _is_forwardable(bare: str) -> bool:
    text = _unescaped(bare)
    if text is None or not bare.startswith("/"):
        return False
    segments = [_SEGMENT_ENDS.split(part, maxsplit=1)[0].strip() for part in text.split("/")]
    if any(_DOTS.fullmatch(segment) for segment in segments):
        return False
    first = next(filter(None, segments), "")
    return first.rstrip(". ") != "v1" or bare == "/v1"


def _unescaped(bare: str) -> str | None:
    """Return the path fully decoded and folded, with `/` for all that is like it; None if it is malformed."""
    text, before = bare, ""
    try:
        for _ in range(MAX_DECODINGS):
            text, before = unquote(text, errors="strict"), text
            if text == before:
                break
        text.encode()
    except UnicodeError:  # an overlong `.`, say
        return None
    if text != before or "%u" in text.lower():
        return None
    if _CONTROLS.search(text):
        return None
    if not text.isascii():
        if len(text) > MAX_WIDE:
            return None
        text = unicodedata.normalize("NFKC", text)
        if any(unicodedata.category(each) == "Cf" for each in text):
            return None
    return text.casefold().translate(_LIKE_SLASHES_AND_DOTS)
