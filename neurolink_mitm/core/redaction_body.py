"""Takes secrets out of headers and bodies that are about to be written, and leaves every other byte of them.

A body is text: JSON, a form, an event stream, or anything else, and JSON may stand quoted within JSON, as the arguments
of tools do. So it is searched as text and never parsed as a whole: what can't be parsed must not leak either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from neurolink_mitm.core.headers import Fields
from neurolink_mitm.core.redaction import STARS, TOKEN, redact
from neurolink_mitm.core.token_formats import NEEDLES

_NAMES = r"""
    (?: (?:proxy-)?authorization | x-neurolink-admin | (?:set-)?cookie | password | passwd | secret | token
      | (?:x-)?(?:goog-|client-)?api[-_]?keys? | client[-_]?keys?
      | (?:access|refresh|id|auth|bearer|session|setup|secret|admin)[-_]?token
      | (?:client|app)[-_]?secret | code[-_]?verifier | (?:private|secret[-_]?access)[-_]?key )
"""
"""Of members and variables whose value is a secret, whatever it looks like."""

_MEMBER = re.compile(rf'(?xi) "{_NAMES}"\s*:\s*" (?P<secret>(?:[^"\\]|\\[\s\S])*)')
_QUOTED_MEMBER = re.compile(
    # JSON in a string of JSON: its quotes have backslashes before them, and end with as many
    rf'(?xi) (?P<q>\\+")(?=[a-z]){_NAMES}(?P=q)\s*:\s*(?P=q) (?P<secret>[\s\S]*?) (?<!\\)(?:(?=(?P=q))|\Z)'
)
_LIST = re.compile(
    rf'(?xi) "{_NAMES}(?P<q>\\*")\s*:\s*\[\s* (?P<secret>(?P=q)[^\]]*?) \s*(?:\]|\Z)'
)
_LINE = r"""\s*:\s* (?:(?:basic|bearer|token)\s+)? (?P<secret>[^\s"'\\,;]+)"""
_AUTHORIZATION = re.compile(rf"(?xi) authorization{_LINE}")  # a header in a command or a dump
_API_KEY = re.compile(rf"(?xi) -api-key{_LINE}")
_ADMIN = re.compile(rf"(?xi) neurolink-admin{_LINE}")
_COOKIE = re.compile(r"""(?xi) cookie\s*:[ \t]* (?P<secret>[^\s"'\\][^"'\\\r\n]*)""")
_SECRETLY_NAMED = """(?: API_?KEY | SECRET_?KEY | PRIVATE_?KEY | ACCESS_?KEY | SIGNING_?KEY | ENCRYPTION_?KEY
                       | TOKEN | SECRET | PASSWORD | PASSWD | PASSPHRASE )"""
_VARIABLE = re.compile(
    rf"""(?x) {_SECRETLY_NAMED} = \\*["']? (?P<secret> (?![\w.]*[(\[]) [^\s"'\\$&;]{{6,}})"""
)
_ASSIGNED = re.compile(  # in code and YAML: in quotes, or of letters and digits
    rf"""(?x) {_SECRETLY_NAMED} [ ]?[:=][ ]? \\*["']?
        (?P<secret> (?: (?<=["']) | (?=\w*\d)(?=\w*[A-Za-z])(?![\w.]*[(\[]) ) [^\s"'\\$&;<>{{}}]{{6,}})"""
)
_CLOUD_KEY = (
    re.compile(  # AWS' in its own file, Azure's in connection strings: only names give them away
        r"""(?x) (?: (?i:secret_?access_?key) | AccountKey | SharedAccessKey ) \\*["']?\s{0,9}[:=]\s{0,9}\\*["']?
        (?P<secret>[A-Za-z0-9/+]{40,}={0,2})"""
    )
)
_PRIVATE_KEY = re.compile(  # as far as it looks like one: files are shown with numbers before their lines, and cut
    r"""(?x) -----BEGIN\ (?:[A-Z0-9]+\ )*PRIVATE\ KEY(?:\ BLOCK)?-----
        (?P<secret> (?: [A-Za-z0-9+/=\s:,|\u2192] | \\+(?:[nrt]|u2192) | -(?!----) )+ )"""
)
_CURL = re.compile(
    r"""(?x) curl\b (?:(?!\\n)[^\n]){0,300}? \ (?:-u|--user)[ =] \\*["']? [^\s:"'\\]{1,64}: (?P<secret>[^\s"'\\]+)"""
)
_VALUE = rf"""(?:{_NAMES}|key|code)= (?P<secret>[^&\s"'\\<>\#]+)"""
_PARAMETER = re.compile(rf"(?xi) [?&]{_VALUE}")
_FORM = re.compile(rf"(?xi) \A{_VALUE}")
_PASSWORD = re.compile(r"""(?x) ://[^/\s:@"'\\<>]*: (?P<secret>[^/\s@"'\\<>]+) @""")
_PATTERNS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (_MEMBER, ()),
    (_QUOTED_MEMBER, ('\\"',)),
    (_LIST, ("[",)),
    (_AUTHORIZATION, ("authorization",)),
    (_API_KEY, ("-api-key",)),
    (_ADMIN, ("neurolink-admin",)),
    (_COOKIE, ("cookie",)),
    (_VARIABLE, ()),
    (_ASSIGNED, ()),
    (_CLOUD_KEY, ("accesskey", "access_key", "accountkey")),
    (_PRIVATE_KEY, ("private key",)),
    (_CURL, ("curl",)),
    (_PARAMETER, ("?", "&")),
    (_FORM, ("=",)),
    (_PASSWORD, ()),
)
"""Each with what must occur, in lower case, where it could match: to look for that costs next to nothing."""

_SCHEME = re.compile(r"(?i)bearer")

_SECRET_FIELD = re.compile(
    r"(?i)authori[sz]ation|cookie|api-?key|secret|token(?!s)|password|credential|neurolink-admin"
)


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A secret: `text[start:end]`, and what is to stand there."""

    start: int
    end: int
    stars: str = STARS


def redact_fields(fields: Fields) -> list[tuple[str, str]]:
    """Header fields as text, with stars for those named like a credential and for whatever looks like one."""
    return [(_text(name), _value(_text(name), _text(value))) for name, value in fields]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _value(name: str, value: str) -> str:
    return STARS if _SECRET_FIELD.search(name) else redact(value)


def redact_body(text: str) -> str:
    """The same text with stars for secrets. What was valid JSON still is."""
    return replaced(text, secrets(text))


def secrets(text: str) -> list[Found]:
    """Where they are, in order; none overlaps another."""
    lowered = text.lower()
    return _merged(sorted((*_tokens(text, lowered), *_named(text, lowered))))


def replaced(text: str, found: Iterable[Found]) -> str:
    parts: list[str] = []
    end = 0
    for each in found:
        parts += (text[end : each.start], each.stars)
        end = each.end
    return "".join((*parts, text[end:]))


def _tokens(text: str, lowered: str) -> Iterator[Found]:
    """Tried only where something begins like one: that costs a tenth."""
    at = chain.from_iterable(_places(text, prefix) for prefix in NEEDLES)
    schemes = _SCHEME.finditer(text) if "bearer" in lowered else ()
    for start in chain(at, (scheme.start() for scheme in schemes)):
        if match := TOKEN.match(text, start):
            yield Found(*match.span())


def _places(text: str, prefix: str) -> Iterator[int]:
    start = text.find(prefix)
    while start >= 0:
        yield start
        start = text.find(prefix, start + 1)


def _named(text: str, lowered: str) -> Iterator[Found]:
    for pattern, needed in _PATTERNS:
        if needed and not any(each in lowered for each in needed):
            continue
        for match in pattern.finditer(text):
            start, end = match.span(
                "secret" if pattern is not _ASSIGNED or match["secret"] else "quoted"
            )
            if start < end:
                quote = match["q"] if pattern is _LIST else ""
                yield Found(start, end, f"{quote}{STARS}{quote}")


def _merged(found: Iterable[Found]) -> list[Found]:
    merged: list[Found] = []
    for each in found:
        if merged and each.start < merged[-1].end:
            last = merged.pop()
            each = Found(last.start, max(last.end, each.end), last.stars)
        merged.append(each)
    return merged
