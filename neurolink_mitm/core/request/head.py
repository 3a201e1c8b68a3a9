r"""Strict validation of a request's head (RFC 9112) and path: they must mean the same to every server.

Two servers that read one head differently can be made to see different requests (request smuggling). So an odd head is
refused and never repaired. The refusal does not repeat what the client sent.

Servers normalize a path differently: they decode it once, twice or not at all, take `\` for `/`, cut off `;parameters`,
drop tabs and NULs, fold doubled slashes, letters and wide characters, and resolve dot segments at any point between.
RFC 3986 section 6.2 lists the forms, RFC 9110 section 17.1 the harm.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.openai.api import EMBEDDINGS_PATH
from neurolink_mitm.core.request.headers import Fields

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

    Raises `ValueError` where the end of the body is ambiguous; the text is fit for the client.
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


# The path

MESSAGES_PATH = "/v1/messages"
COUNT_TOKENS_PATH = "/v1/messages/count_tokens"
_INFERENCE = (MESSAGES_PATH, COUNT_TOKENS_PATH, EMBEDDINGS_PATH)

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
    if text != before or "%u" in text.lower() or _CONTROLS.search(text):
        return None
    if not text.isascii():
        if len(text) > MAX_WIDE:
            return None
        text = unicodedata.normalize("NFKC", text)
        if any(unicodedata.category(each) == "Cf" for each in text):
            return None
    return text.casefold().translate(_LIKE_SLASHES_AND_DOTS)
