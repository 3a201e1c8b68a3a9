"""Finds what is not to leave: the user's words and expressions, and kinds of data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

from neurolink_mitm.core.shaping.spellings import host_spellings, spellings
from neurolink_mitm.core.token_formats import NEEDLES, any_form

_LETTER = r"[\w\u0300-\u036f-]"
"""Of the name of a host, which need not be of ASCII; accents may stand by themselves."""
_EMAIL = re.compile(rf"[\w\u0300-\u036f.%+-]{{1,64}}@{_LETTER}+(?:\.{_LETTER}+)+")
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}(?![\w]|\.\d)", re.ASCII)
_IPV4_HINT = re.compile(r"\.\d{1,3}\.\d")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{0,39}:[0-9A-Fa-f:]{0,39}:[0-9A-Fa-f:.]{0,45}(?![\w:])")
_KEY = re.compile(
    rf"""
    \b(?: {any_form()} | (?:sk|pk|rk)[-_][A-Za-z0-9_-]{{16,}} )
  | (?:[Ss]ecret_access_key|[Ss]ecretAccessKey|SECRET_ACCESS_KEY)   # AWS, the keys, which only a name gives away
    \\?["']?\s{{0,9}}[:=]\s{{0,9}}\\?["']?[A-Za-z0-9/+]{{40}}(?![A-Za-z0-9/+])
  | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----.*?-----END\ [A-Z ]*PRIVATE\ KEY-----
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_KEY_HINTS = (*NEEDLES, "pk_", "ecret_access_", "ecretAccess", "SECRET_ACCESS_", "PRIVATE KEY-----")
"""One of them is in whatever `_KEY` matches, and many texts have none."""
_SHORTEST_KEY = 15

_FOLDED = re.compile("[\u0130\u0131\u017f\u212a]")
"""All letters beyond ASCII that an expression without case takes for one of ASCII."""

Places = Iterator[tuple[int, int]]
Find = Callable[[str], Places]
Look = Callable[[str], bool]


def _always(_: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Finder:
    """Says where in a text something of a kind stands."""

    kind: str
    find: Find
    may: Look = _always
    """A quick look: false of a text if neither in it nor in any part of it there is something to find."""


@dataclass(frozen=True, slots=True)
class Found:
    """A place in a text, and what it is."""

    start: int
    end: int
    kind: str


def finders(
    words: Iterable[str], patterns: Iterable[str], kinds: Iterable[str], domains: Iterable[str]
) -> tuple[Finder, ...]:
    """Words are found in any spelling of their letters, and inside of others."""
    return tuple(_finders(words, patterns, kinds, domains))


def found_in(text: str, by: Iterable[Finder]) -> list[Found]:
    """In the order of the text. What overlaps is one, so that no half of anything is left."""
    places = [
        Found(at, end, each.kind)
        for each in by
        if each.may(text)
        for at, end in each.find(text)
        if end > at
    ]
    if len(places) < 2:
        return places
    places.sort(key=lambda each: (each.start, -each.end))
    result = places[:1]
    for place in places[1:]:
        last = result[-1]
        if place.start >= last.end:
            result.append(place)
        elif place.end > last.end:
            result[-1] = Found(last.start, place.end, last.kind)
    return result


def worth_asking(by: Iterable[Finder], texts: Iterable[str]) -> tuple[Finder, ...]:
    """Those that may find something in one of the texts: mostly few, and told by one look at all of them."""
    together = "\n".join(texts)
    return tuple(each for each in by if each.may(together))


def _finders(
    words: Iterable[str], patterns: Iterable[str], kinds: Iterable[str], domains: Iterable[str]
) -> Iterator[Finder]:
    if listed := spellings(words):
        pattern = re.compile("|".join(map(re.escape, listed)), re.IGNORECASE)
        yield Finder("WORD", _of(pattern), _look(listed))
    for expression in patterns:
        yield Finder("TEXT", _of(re.compile(expression)))
    if named := host_spellings(each.strip(".") for each in domains):
        yield Finder("HOST", _hosts(named), _look(named))
    for kind in kinds:
        yield KINDS[kind]


def _of(pattern: re.Pattern[str]) -> Find:
    return lambda text: (each.span() for each in pattern.finditer(text))


def _look(words: Sequence[str]) -> Look:
    """For words of ASCII, in upper or lower case: much quicker than an expression."""
    if not all(map(str.isascii, words)):
        return _always
    lower = tuple(word.lower() for word in words)

    def may(text: str) -> bool:
        if not text.isascii() and _FOLDED.search(text):
            return True
        text = text.lower()
        return any(word in text for word in lower)

    return may


def _hosts(domains: Sequence[str]) -> Find:
    """The domains and all names below them. A name is begun only where it can begin: long lines take no longer."""
    listed = "|".join(map(re.escape, domains))
    below = rf"(?:(?<!{_LETTER})(?<!{_LETTER}\.)(?:{_LETTER}+\.)+)?"
    expression = rf"{below}(?<![a-z0-9_-])(?:{listed})(?![a-z0-9_-]|\.[a-z0-9_-])"
    return _of(re.compile(expression, re.IGNORECASE))


def _ipv4(text: str) -> Places:
    for each in _IPV4.finditer(text):
        before = text[each.start() - 1 : each.start()]
        if not (before.isalnum() or before in ("_", ".")) or not before:
            yield each.span()


def _may_be_ipv4(text: str) -> bool:
    return _IPV4_HINT.search(text) is not None


def _ipv6(text: str) -> Places:
    for each in _IPV6.finditer(text):
        address = each[0].rstrip(".")
        if len(address) > 2 and _is_ipv6(address):
            yield each.start(), each.start() + len(address)


def _may_be_ipv6(text: str) -> bool:
    return "::" in text or text.count(":") >= 7


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def _may_be_key(text: str) -> bool:
    return len(text) >= _SHORTEST_KEY and any(hint in text for hint in _KEY_HINTS)


KINDS = {
    "email": Finder("EMAIL", _of(_EMAIL), lambda text: "@" in text),
    "ipv4": Finder("IPV4", _ipv4, _may_be_ipv4),
    "ipv6": Finder("IPV6", _ipv6, _may_be_ipv6),
    "key": Finder("KEY", _of(_KEY), _may_be_key),
}
"""What `detectors` of the configuration may name."""
