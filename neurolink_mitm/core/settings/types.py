"""The types of single values in a configuration, such as numbers, URLs and keys, for annotations.

Each carries its check and its JSON Schema. A check that fails says what the value must be; `config/document.py` adds
where the value stands and what it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from urllib.parse import SplitResult, urlsplit

from neurolink_mitm.core.auth.credentials import check_label, check_token
from neurolink_mitm.core.auth.loopback import ipv6, is_loopback
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.request.target import DIRECT, NO_PROXY_URL, Via
from neurolink_mitm.core.settings.quiet import QuietHours

_LONGEST_TIMEOUT = 86_400
"""Seconds: one day. Beyond, timers of event loops begin to overflow."""


@dataclass(frozen=True, slots=True, eq=False)  # a union of types hashes it
class ValueType:
    """The check of a value. `read` returns the typed value, or raises `ValueError` with what it must be."""

    read: Callable[[Any], object]
    schema: Mapping[str, Any]
    secret: bool = False
    """Whether a fault must not print the value."""


class NotEmpty:
    """Marks a list that must not be empty."""


def plain(hint: Any) -> tuple[Any, tuple[object, ...]]:
    """Return a type without `Annotated` and `| None`, and all that was annotated."""
    notes: tuple[object, ...] = ()
    while True:
        if get_origin(hint) is Annotated:
            hint, *more = get_args(hint)
            notes = (*notes, *more)
        elif get_origin(hint) in (Union, UnionType):
            (hint,) = (part for part in get_args(hint) if part is not NoneType)
        else:
            return hint, notes


@cache
def hints(section: type) -> Mapping[str, Any]:
    """Return the types of a section's fields, with their kinds and descriptions."""
    return get_type_hints(section, include_extras=True)


def description(hint: Any) -> str:
    """Return what a field means: the text among its annotations."""
    return next(note for note in plain(hint)[1] if isinstance(note, str))


_SWITCHES = {
    **dict.fromkeys(("0", "off", "f", "false", "n", "no"), False),
    **dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True),
}
"""Texts, as variables have them."""


def _flag(value: Any) -> bool:
    flag = _SWITCHES.get(value.lower()) if isinstance(value, str) else None
    if flag is None and isinstance(value, int | float) and value in (0, 1):
        flag = bool(value)
    if flag is None:
        raise ValueError("must be true or false")
    return flag


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    number = float(value)
    if not math.isfinite(number) or not str(value).isascii():
        raise ValueError
    return number


_INTEGER = re.compile(r"\s*([+-]?\d+(?:_\d+)*)(?:\.0+)?\s*", re.ASCII)


def _integer(value: Any) -> int:
    if isinstance(value, str) and (match := _INTEGER.fullmatch(value)):
        return int(match[1])
    if isinstance(value, str | bool) or not isinstance(value, int | float) or value != int(value):
        raise ValueError
    return int(value)


def _numeric(
    be: str, read: Callable[[Any], float], good: Callable[[float], bool], **schema: float
) -> ValueType:
    def check(value: Any) -> float:
        try:
            number = read(value)
            if good(number):
                return number
        except (ValueError, OverflowError):
            pass
        raise ValueError(f"must be {be}")

    return ValueType(check, {**schema, "type": "integer" if read is _integer else "number"})


def _text(value: Any) -> str:
    if value == "":
        raise ValueError("must not be empty")
    if not isinstance(value, str):
        raise ValueError("must be a text (in quotes, if it looks like a number)")
    return value


def _text_kind(check: Callable[[str], str]) -> ValueType:
    return ValueType(lambda value: check(_text(value)), {"minLength": 1, "type": "string"})


def _split(url: str) -> SplitResult:
    """Take a URL apart; `urlsplit` itself lets white space and impossible ports pass."""
    parts = urlsplit(url)
    if re.search(r"[\s\x00-\x1f\x7f]", url) or not parts.hostname or parts.port == 0:
        raise ValueError("not a URL")
    return parts


def _http(url: str) -> SplitResult:
    try:
        parts = _split(url)
    except ValueError:
        raise ValueError("must be an http or https URL") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must be an http or https URL")
    return parts


def _url(url: str) -> str:
    if "@" in _http(url).netloc:
        raise ValueError("must be a URL without user name and password")
    return url


def _base_url(url: str) -> str:
    parts = _http(_url(url))
    if parts.query or parts.fragment:
        raise ValueError("must be a URL without a query or fragment")
    return url.rstrip("/")


def _proxy_url(url: str) -> str:
    if url == DIRECT:
        return url
    try:
        if url.lower() == DIRECT:
            raise ValueError
        Via.parse(url)
    except ValueError as e:
        raise ValueError(f'{str(e) or NO_PROXY_URL}, or "{DIRECT}"') from None
    return url


def _secret(value: Any) -> Secret:
    if not isinstance(value, str):
        raise ValueError("must be a text (in quotes)")
    return Secret(check_token(value))


def _pattern(text: str) -> str:
    from neurolink_mitm.core.shaping.expressions import fault  # few have one, and `regex` is slow

    if wrong := fault(text):
        raise ValueError(f"must be a regular expression ({wrong})")
    return text


def _quiet(text: str) -> str:
    QuietHours.parse(text)
    return text


def _loopback_host(text: str) -> str:
    if not is_loopback(text):
        raise ValueError("must be an address of loopback, such as 127.0.0.1: use a tunnel")
    return text


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("must be a text without NUL")
    return text


def _redis_url(value: Any) -> Secret:
    text = _text(value)
    try:
        parts = _split(text)
    except ValueError:
        raise ValueError(_REDIS) from None
    if parts.scheme not in ("redis", "rediss") or not re.fullmatch(r"(?:/[0-9]{0,4})?", parts.path):
        raise ValueError(_REDIS)
    if parts.query or parts.fragment:
        raise ValueError(f"must be a URL without a query or fragment; {_ENCODED}")
    return Secret(text)


def _namespace(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", text):
        raise ValueError("must be 1 to 64 letters, digits, dots, dashes or underscores")
    return text


def _host_name(text: str) -> str:
    name = text.lower().removesuffix(".")
    if address := ipv6(name.removeprefix("[").removesuffix("]")):
        return address
    if not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?", name):
        raise ValueError("must be the name of a host, without scheme, port and wildcards")
    return name


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError("must be the SHA-256 of a certificate, 64 hexadecimal digits")
    return digits


_ENCODED = "in a password, / is written %2F, ? %3F, # %23, % %25"
_REDIS = f"must be a redis:// or rediss:// URL, such as redis://:password@redis.example:6379/0; {_ENCODED}"
PositiveNumber = Annotated[
    float, _numeric("a number > 0", _number, lambda n: n > 0, exclusiveMinimum=0)
]
Amount = Annotated[float, _numeric("a number ≥ 0", _number, lambda n: n >= 0, minimum=0)]
Seconds = Annotated[
    float,
    _numeric(
        f"a number of seconds > 0 and at most {_LONGEST_TIMEOUT}",
        _number,
        lambda n: 0 < n <= _LONGEST_TIMEOUT,
        exclusiveMinimum=0,
        maximum=_LONGEST_TIMEOUT,
    ),
]
SecondsOrZero = Annotated[
    float,
    _numeric(
        f"a number of seconds ≥ 0 and at most {_LONGEST_TIMEOUT}",
        _number,
        lambda n: 0 <= n <= _LONGEST_TIMEOUT,
        minimum=0,
        maximum=_LONGEST_TIMEOUT,
    ),
]
SpareCount = Annotated[
    int,
    _numeric(
        "a whole number from 0 to 16", _integer, lambda n: 0 <= n <= 16, minimum=0, maximum=16
    ),
]
Port = Annotated[
    int,
    _numeric(
        "a port from 0 to 65535", _integer, lambda n: 0 <= n <= 65535, minimum=0, maximum=65535
    ),
]
WholeNumber = Annotated[int, _numeric("a whole number", _integer, lambda n: True)]
Count = Annotated[int, _numeric("a whole number ≥ 0", _integer, lambda n: n >= 0, minimum=0)]
PositiveCount = Annotated[
    int, _numeric("a whole number ≥ 1", _integer, lambda n: n >= 1, minimum=1)
]
Flag = Annotated[bool, ValueType(_flag, {"type": "boolean"})]
Text = Annotated[str, _text_kind(str)]
Label = Annotated[str, _text_kind(check_label)]
Url = Annotated[str, _text_kind(_url)]
BaseUrl = Annotated[str, _text_kind(_base_url)]
ProxyUrl = Annotated[str, _text_kind(_proxy_url)]
SecretText = Annotated[Secret, ValueType(_secret, {"type": "string"}, secret=True)]
Pattern = Annotated[str, _text_kind(_pattern)]
Quiet = Annotated[str, _text_kind(_quiet)]
LoopbackHost = Annotated[str, _text_kind(_loopback_host)]
Argument = Annotated[str, _text_kind(_argument)]
Fingerprint = Annotated[str, _text_kind(_fingerprint)]
RedisUrl = Annotated[Secret, ValueType(_redis_url, {"minLength": 1, "type": "string"}, secret=True)]
Namespace = Annotated[str, _text_kind(_namespace)]
HostName = Annotated[str, _text_kind(_host_name)]
