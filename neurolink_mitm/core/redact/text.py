"""Masks secrets in text: by their form (`tokens`), and by what precedes them (`named`: a name, a header, a command).

Each rule of `named` has an anchor of bounded length, which is searched window by window, and a function that finds the
end of the secret from there. No text is searched twice, so all of it takes linear time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from io import StringIO
from operator import attrgetter

import msgspec

from neurolink_mitm.core.redact.search import among, matches, passed
from neurolink_mitm.core.redact.token_formats import NEEDLES, Tokens

MASK = "***"
LONGEST = 2048
"""Characters of a path, a name or an error text; the rest is cut off before it is logged."""

_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
"""The start of a word, in JSON too: in `\\nsk-…` the n is not part of it."""

_TOKENS = Tokens(_START, {"sk-": r"sk-ant-[A-Za-z0-9_-]{4,}"})  # Anthropic's, also within a word
_SCHEME = re.compile(r"[Bb](?i:earer)")
_BEARER = re.compile(rf"{_START}(?i:bearer)\s++[A-Za-z0-9._~+/=-]{{8,}}")

_PARAMETER = re.compile(
    r"""(?ix) ([?&] (?: (?:access_|refresh_|id_)?token | (?:x-)?api[_-]?key | key
                      | client_secret | password | code ) =) [^&\s]+"""
)


class SecretMatch(msgspec.Struct, frozen=True, gc=False):
    """A secret, `text[start:end]`, and its mask. `gc=False`: there may be a million of them."""

    start: int
    end: int
    mask: str = MASK


def may_hold_secret(text: str) -> bool:
    """Tell whether `redact` may change `text`: one call for many short texts, joined."""
    return _may_hold_token(text) or (_has_query(text) and _PARAMETER.search(text) is not None)


def redact(text: str) -> str:
    """Mask all that has the form of a key or token, or is a query parameter with such a name."""
    if _may_hold_token(text):
        text = replaced(text, merged(*tokens(text)))
    return _PARAMETER.sub(rf"\1{MASK}", text) if _has_query(text) else text


def short(text: str, longest: int = LONGEST) -> str:
    """Cut foreign text to `longest` characters, not in the middle of a word, so that it can be searched and logged."""
    if len(text) <= longest:
        return text
    text = text[:longest]
    return text[: max(text.rfind(end) + 1 for end in "/?&=,; \t\r\n\"'")] + "…"


def tokens(text: str) -> Iterator[Iterator[SecretMatch]]:
    """Yield for each form of a key or token its matches in order."""
    for form in _TOKENS.forms:
        yield (SecretMatch(*at) for at in form.find(text))
    yield _bearers(text)


def _bearers(text: str) -> Iterator[SecretMatch]:
    for scheme in matches(_SCHEME, text, len("bearer")):
        if match := _BEARER.match(text, scheme.start()):
            yield SecretMatch(*match.span())


def merged(*matches: Iterator[SecretMatch]) -> Iterator[SecretMatch]:
    """Merge ordered matches into one order, without overlaps. Lazily: to sort a million blocks too long."""
    last: SecretMatch | None = None
    for each in merge(*matches, key=attrgetter("start")):
        if last and each.start < last.end:
            each = SecretMatch(last.start, max(last.end, each.end), last.mask)
        elif last:
            yield last
        last = each
    if last:
        yield last


def replaced(text: str, matches: Iterable[SecretMatch]) -> str:
    """Return the text with masks; `matches` are in order and don't overlap."""
    result = StringIO(newline="")
    end = 0
    for each in matches:
        result.write(text[end : each.start])
        result.write(each.mask)
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
    """Mask user and password in URLs."""
    return _URL_USER.sub(f"://{MASK}@", text)


_URL_USER = re.compile(r"://[^/\s@]+@")


_NAMES = r"""
    (?: (?:proxy-)?authorization | x-neurolink-admin | (?:set-)?cookie | password | passwd | secret | token
      | (?:x-)?(?:goog-|client-)?api[-_]?keys? | client[-_]?keys?
      | (?:access|refresh|id|auth|bearer|session|setup|secret|admin)[-_]?token
      | (?:client|app)[-_]?secret | code[-_]?verifier | (?:private|secret[-_]?access)[-_]?key )
"""
"""Names of members and variables whose value is a secret, whatever its form."""
_UPPER_NAMES = """(?: API_?KEY | SECRET_?KEY | PRIVATE_?KEY | ACCESS_?KEY | SIGNING_?KEY | ENCRYPTION_?KEY
                    | TOKEN | SECRET | PASSWORD | PASSWD | PASSPHRASE )"""
_SPACE = re.compile(r"\s*+")
_COLON = re.compile(r"\s*+:\s*+")
_COMMA = re.compile(r"\s*+,\s*+")
_SLASHES = re.compile(r"\\*+")
_PLAIN = re.compile(r"(?:[^\"\\]{1,4096}+|\\[\s\S]){1,256}+")
"""A bounded piece of a JSON string."""


def _member(text: str, anchor: re.Match[str]) -> SecretMatch | None:
    """Match the value of a JSON member; within quoted JSON each quote has the same number of backslashes."""
    quoted = _SLASHES.match(text, anchor.end())
    assert quoted, "it matches none, too"
    depth = quoted.end() - anchor.end()
    quote = text[anchor.end() : quoted.end() + 1]
    colon = _COLON.match(text, quoted.end() + 1) if quote[-1:] == '"' else None
    if colon is None:
        return None
    at = colon.end()
    if text[at : at + 1] == "[":
        return _list(text, at + 1, quote)
    if not text.startswith(quote, at) or not text.endswith(quote[:-1], 0, anchor.start()):
        return None
    start = at + len(quote)
    return SecretMatch(
        start, _closing(text, quote, start) if depth else passed(_PLAIN, text, start)
    )


def _closing(text: str, quote: str, at: int) -> int:
    """Return the place of the quote with the same number of backslashes; the end of a text that is cut off."""
    closing = text.find(quote, at)
    while closing > at and text[closing - 1] == "\\":
        closing = text.find(quote, closing + len(quote))
    return closing if closing >= 0 else len(text)


def _list(text: str, at: int, quote: str) -> SecretMatch | None:
    space = _SPACE.match(text, at)
    start = space.end() if space else at
    if not text.startswith(quote, start):
        return None
    end = start if len(quote) > 1 else _after_strings(text, start)
    closing = text.find("]", end)
    end = start + len(text[start : closing if closing >= 0 else len(text)].rstrip())
    return SecretMatch(start, end, f"{quote}{MASK}{quote}")


def _after_strings(text: str, at: int) -> int:
    """Return the end of the strings that a list begins with: one of them may have a bracket."""
    while text.startswith('"', at):
        end = passed(_PLAIN, text, at + 1) + 1
        comma = _COMMA.match(text, end)
        if comma is None:
            return min(end, len(text))
        at = comma.end()
    return at


def _by(*patterns: str) -> Callable[[str, re.Match[str]], SecretMatch | None]:
    """Return a function that matches the first of `patterns` behind the anchor; its group `secret` is the secret."""
    compiled = [re.compile(pattern, re.VERBOSE) for pattern in patterns]

    def follow(text: str, anchor: re.Match[str]) -> SecretMatch | None:
        for pattern in compiled:
            if match := pattern.match(text, anchor.end()):
                return SecretMatch(*match.span("secret"))
        return None

    return follow


_PEM = re.compile(  # as far as it has the form of a key: tools show files with line numbers, and cut them
    r"(?:[A-Za-z0-9+/=\s:,|\u2192]{1,4096}+|\\++(?:[nrt]|u2192)|-(?!----)){1,256}+"
)


def _pem(text: str, anchor: re.Match[str]) -> SecretMatch | None:
    return SecretMatch(anchor.end(), passed(_PEM, text, anchor.end()))


_USER = re.compile(r"""\\*+["']?+[^\s:"'\\]{1,64}+:(?P<secret>[^\s"'\\]++)""")
_CURL = re.compile(r"curl\b")


def _curl(text: str, anchor: re.Match[str]) -> SecretMatch | None:
    user = _USER.match(text, anchor.end())
    if user is None:
        return None
    before = text[max(0, anchor.start() - 304) : anchor.start() + 1]
    line = before[max(before.rfind("\n"), before.rfind("\\n")) + 1 :]
    return SecretMatch(*user.span("secret")) if _CURL.search(line) else None


_LINE = r"""\s*+:\s*+ (?:(?i:basic|bearer|token)\s++(?=[^\s"'\\,;]))? (?P<secret>[^\s"'\\,;]++)"""
"""A header in a command or a dump."""
_VALUE = r"""(?P<secret>[^&\s"'\\<>\#]++)"""
_NO_CALL = r"(?![\w.]*+[(\[])"
_DIGIT, _LETTER = r"(?=[^\W\d]*+\d)", r"(?=[^\WA-Za-z]*+[A-Za-z])"


@dataclass(frozen=True, slots=True)
class Rule:
    """A secret by what precedes it. A text with a match has one of `needed`, in any case: a cheap test."""

    anchor: re.Pattern[str]
    follow: Callable[[str, re.Match[str]], SecretMatch | None]
    needed: tuple[str, ...]


_KEYED = ("authorization", "admin", "cookie", "passw", "secret", "token", "key", "verifier")
RULES = tuple(
    Rule(re.compile(anchor, re.VERBOSE), follow, needed)
    for anchor, follow, needed in (
        (rf'"(?i:{_NAMES})(?=["\\])', _member, _KEYED),
        (r"[Aa](?i:uthorization)(?=[\s:])", _by(_LINE), ("authorization",)),
        (r"-(?i:api-key|(?<=neurolink-)admin)(?=[\s:])", _by(_LINE), ("-api-key", "-admin")),
        (
            r"[Cc](?i:ookie)(?=[\s:])",
            _by(r"""\s*+:[ \t]*+(?P<secret>[^\s"'\\][^"'\\\r\n]*+)"""),
            ("cookie",),
        ),
        (  # in code and YAML: in quotes, or of letters and digits
            rf"{_UPPER_NAMES}(?=[ ]?[:=])",
            _by(
                rf"""= \\*+["']?+ (?P<secret>{_NO_CALL}[^\s"'\\$&;]{{6,}}+)""",
                rf"""[ ]?[:=][ ]?+ \\*+["']?+ (?P<secret> (?:(?<=["'])|{_DIGIT}{_LETTER}{_NO_CALL})
                    [^\s"'\\$&;<>{{}}]{{6,}}+)""",
            ),
            ("key", "token", "secret", "passw", "passphrase"),
        ),
        (  # AWS' in its own file, Azure's in connection strings: only names give them away
            r"[As](?:(?<=s)ecret_?access_?key|(?<=A)ccountKey)|S(?:(?i:ecret_?access_?key)|haredAccessKey)",
            _by(
                r"""\\*+["']?+\s{0,9}+[:=]\s{0,9}+\\*+["']?+(?P<secret>[A-Za-z0-9/+]{40,}+={0,2}+)"""
            ),
            ("accesskey", "access_key", "accountkey"),
        ),
        (
            r"-----BEGIN\ (?:[A-Z0-9]{1,32}\ ){0,8}PRIVATE\ KEY(?:\ BLOCK)?-----",
            _pem,
            ("private key",),
        ),
        (r"\ -(?:u|-user)[ =]", _curl, ("curl",)),
        (rf"[?&](?i:{_NAMES}|key|code)=", _by(_VALUE), ("?", "&")),
        (
            "://",
            _by(r"""[^/\s:@"'\\<>]*+:(?P<secret>[^/\s@"'\\<>]++)@"""),
            ("://",),
        ),
    )
)
_FORM = re.compile(rf"(?xi)(?:{_NAMES}|key|code)={_VALUE}")
_REACH = 400
"""Characters of an anchor and its look-around, at most."""


def named(text: str) -> Iterator[Iterator[SecretMatch]]:
    """Yield for each rule that can match its matches in order."""
    present = among({each for rule in RULES for each in rule.needed}, text)
    for rule in RULES:
        if not present.isdisjoint(rule.needed):
            yield _matches(rule, text)
    if form := _FORM.match(text):
        yield iter([SecretMatch(*form.span("secret"))])


def _matches(rule: Rule, text: str) -> Iterator[SecretMatch]:
    end = 0
    for anchor in matches(rule.anchor, text, _REACH):
        secret = rule.follow(text, anchor) if anchor.start() >= end else None
        if secret and secret.start < secret.end:
            yield secret
            end = secret.end
