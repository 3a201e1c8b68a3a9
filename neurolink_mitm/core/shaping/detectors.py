"""Detectors of what must not leave this machine: the user's words in any spelling, expressions, and kinds of data."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote

import msgspec

from neurolink_mitm.core.redact.search import WINDOW, addresses, matches, places
from neurolink_mitm.core.redact.token_formats import NEEDLES, Tokens
from neurolink_mitm.core.shaping.expressions import PATIENCE, Expression


def spellings(words: Iterable[str]) -> list[str]:
    """Return all spellings of `words`, the longest first. Each has its own placeholder, so it comes back as it was."""
    return sorted(
        dict.fromkeys(each for word in words for each in _spelling_of(word)), key=len, reverse=True
    )


def host_spellings(names: Iterable[str]) -> list[str]:
    """Return all spellings of domain names, the longest first; they have an ASCII form, too (RFC 3490)."""
    forms = dict.fromkeys(form for name in names for form in (*_composed(name), *_idna(name)))
    return sorted(forms, key=len, reverse=True)


def _spelling_of(word: str) -> Iterator[str]:
    for cased in (word, word.lower(), word.upper(), word.capitalize()):
        for each in _composed(cased):
            yield each
            if each.isalnum() and each.isascii():
                continue  # none of these changes it
            # in JSON that is itself a text: a file, what a tool printed
            yield json.dumps(each)[1:-1]
            yield json.dumps(each, ensure_ascii=False)[1:-1]
            yield quote(each, safe="")  # in a URL


def _composed(text: str) -> tuple[str, ...]:
    """Return the composed and the decomposed form: file names on macOS are decomposed, keyboards compose."""
    return text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)


def _idna(name: str) -> Iterator[str]:
    try:
        yield name.encode("idna").decode("ascii")
        yield name.encode("ascii").decode("idna")
    except UnicodeError:
        return


_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}(?![\w]|\.\d)", re.ASCII)
_IPV4_HINT = re.compile(r"\.\d{1,3}\.\d")
_IPV6 = re.compile(
    r"""(?x) (?<![\w:.]) (?=[0-9A-Fa-f]{0,4}+:) [0-9A-Fa-f:]{2,45}+
        (?: (?:\.\d{1,3}){3} (?![\w:]|\.\d) | (?![\w:]) )"""
)
_ADDRESS = 80
"""Characters of an IP address with its context, at most: how far a match may reach."""
_TOKENS = Tokens(
    r"(?a:\b)", dict.fromkeys(("sk_", "pk_", "rk_"), r"\b(?a:[spr]k_[A-Za-z0-9_-]{16,})")
)
_AWS_NAMES = ("ecret_access_key", "ecretAccessKey", "ECRET_ACCESS_KEY")
_AWS_KEY = re.compile(  # recognised by its name alone
    r"""(?xa) (?:[Ss]ecret_access_key|[Ss]ecretAccessKey|SECRET_ACCESS_KEY)
        \\?["']?\s{0,9}[:=]\s{0,9}\\?["']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"""
)
_PEM = re.compile(r"-----(?:(?P<begin>BEGIN)|END) [A-Z ]{0,64}PRIVATE KEY-----")
_KEY_HINTS = (*NEEDLES, "pk_", *_AWS_NAMES, "PRIVATE KEY-----")
"""Every key contains one of these texts; most texts contain none."""
_SHORTEST_KEY = 15
"""Characters; a shorter text has no key."""

_FOLDED = re.compile("[\u0130\u0131\u017f\u212a]")
"""The letters beyond ASCII that match a letter of ASCII where case is ignored."""

Places = Iterator[tuple[int, int]]
Find = Callable[[str], Places]
Look = Callable[[str], bool]
FindInTime = Callable[[str, float], Places]
InTime = Callable[[FindInTime, str], Iterable[tuple[int, int]]]
"""Runs a user's expression on a text, within the time that is left."""


def _always(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds the places of one kind in a text."""

    kind: str
    find: Find
    may: Look = _always
    """A fast test; false means that `find` finds nothing in the text, nor in any part of it."""
    timed: FindInTime | None = None
    """`find` for an expression that may take any time: raises `TooSlowError` after so many seconds."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A place in a text, and its kind."""

    start: int
    end: int
    kind: str


def finders(
    words: Iterable[str], patterns: Iterable[str], kinds: Iterable[str], domains: Iterable[str]
) -> tuple[Finder, ...]:
    """Return a finder for each detector. Words are found in any spelling, and inside of other words."""
    made: list[Finder] = []
    if listed := spellings(words):
        pattern = re.compile("|".join(map(re.escape, listed)), re.IGNORECASE)
        made.append(Finder("WORD", _of(pattern, len(listed[0])), _look(listed)))
    made += (_expression(Expression(*each)) for each in enumerate(patterns))
    if named := host_spellings(each.strip(".") for each in domains):
        made.append(Finder("HOST", _hosts(named), _look(named)))
    return (*made, *(KINDS[kind] for kind in kinds))


def found_in(text: str, by: Iterable[Finder], in_time: InTime | None = None) -> list[Found]:
    """Return all places in the order of the text; overlapping ones become one. Raises `TooSlowError` of `in_time`."""
    found = [
        Found(at, end, each.kind)
        for each in by
        if each.may(text)
        for at, end in (in_time(each.timed, text) if in_time and each.timed else each.find(text))
        if end > at
    ]
    if len(found) < 2:
        return found
    found.sort(key=lambda each: (each.start, -each.end))
    result = found[:1]
    for place in found[1:]:
        last = result[-1]
        if place.start >= last.end:
            result.append(place)
        elif place.end > last.end:
            result[-1] = Found(last.start, place.end, last.kind)
    return result


def worth_asking(by: Iterable[Finder], texts: Iterable[str]) -> tuple[Finder, ...]:
    """Return the finders that may find something in one of `texts`: mostly few. All texts are tested together."""
    together = "\n".join(texts)
    return tuple(each for each in by if each.may(together))


def _expression(expression: Expression) -> Finder:
    return Finder("TEXT", lambda text: expression.find(text, PATIENCE), timed=expression.find)


def _of(pattern: re.Pattern[str], reach: int) -> Find:
    return lambda text: (each.span() for each in matches(pattern, text, reach + 8))


def _look(words: Sequence[str]) -> Look:
    """Return a fast test for words of ASCII, whatever their case; it is much faster than an expression."""
    if not all(map(str.isascii, words)):
        return _always
    lower = tuple(word.lower() for word in words)
    longest = max(map(len, lower))

    def may(text: str) -> bool:
        pieces = (text[at : at + WINDOW + longest] for at in range(0, len(text), WINDOW))
        return any(map(holds, pieces))

    def holds(text: str) -> bool:
        if not text.isascii() and _FOLDED.search(text):
            return True
        text = text.lower()
        return any(word in text for word in lower)

    return may


def _hosts(domains: Sequence[str]) -> Find:
    """Return the finder of the domains, and of all names below them."""
    listed = "|".join(map(re.escape, domains))
    expression = rf"(?<![a-z0-9_-])(?:{listed})(?![a-z0-9_-]|\.[a-z0-9_-])"
    pattern = re.compile(expression, re.IGNORECASE)

    def find(text: str) -> Places:
        end = 0
        for each in matches(pattern, text, len(domains[0]) + 8):
            yield _first_label(text, each.start(), end), each.end()
            end = each.end()

    return find


_NO_NAME = re.compile(r".*[^\w\u0300-\u036f.-]", re.DOTALL)
_PIECE = 1024


def _first_label(text: str, at: int, least: int) -> int:
    """Return where the name begins whose domain is at `at`: before it are labels, each with its dot."""
    begin = at
    while begin > least:
        piece = text[max(least, begin - _PIECE) : begin]
        other = _NO_NAME.match(piece)
        begin -= len(piece) - (other.end() if other else 0)
        if other:
            break
    labels = text[begin:at]
    if not labels.endswith("."):
        return at
    begin += labels.rfind("..") + 2 if ".." in labels else 0
    return begin + text.startswith(".", begin, at)


def _ipv4(text: str) -> Places:
    for each in matches(_IPV4, text, _ADDRESS):
        before = text[each.start() - 1 : each.start()]
        if not (before.isalnum() or before in ("_", ".")) or not before:
            yield each.span()


def _may_be_ipv4(text: str) -> bool:
    return next(matches(_IPV4_HINT, text, _ADDRESS), None) is not None


def _ipv6(text: str) -> Places:
    for each in matches(_IPV6, text, _ADDRESS):
        if len(each[0]) > 2 and _is_ipv6(each[0]):
            yield each.span()


def _may_be_ipv6(text: str) -> bool:
    return "::" in text or text.count(":") >= 7


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _keys(text: str) -> Places:
    yield from _TOKENS.find(text)
    for name in _AWS_NAMES:
        for at in places(text, name):
            if at and (found := _AWS_KEY.match(text, at - 1)):
                yield found.span()
    yield from _pems(text)


def _pems(text: str) -> Places:
    """Yield the private keys: from a begin marker to the next end marker."""
    start = -1
    for marker in matches(_PEM, text, 100):
        if marker["begin"]:
            start = marker.start() if start < 0 else start
        elif start >= 0:
            yield start, marker.end()
            start = -1


def _may_be_key(text: str) -> bool:
    return len(text) >= _SHORTEST_KEY and any(hint in text for hint in _KEY_HINTS)


KINDS = {
    "email": Finder("EMAIL", addresses, lambda text: "@" in text),
    "ipv4": Finder("IPV4", _ipv4, _may_be_ipv4),
    "ipv6": Finder("IPV6", _ipv6, _may_be_ipv6),
    "key": Finder("KEY", _keys, _may_be_key),
}
"""The finders by the names that `detectors` of the configuration may have."""
