"""The kinds of single values that a configuration holds: numbers, URLs, keys, plugin options.

Each is a type for annotations that carries its check; a check that fails says what the value must
be, and `config_faults` adds where it stands and what was found.
"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetPydanticSchema,
    ValidationError,
    WrapValidator,
)
from pydantic import ValidatorFunctionWrapHandler as Handler
from pydantic_core import PydanticCustomError, core_schema

from neurolink_mitm.core.secret import Secret
from neurolink_mitm.core.shaping.expressions import fault
from neurolink_mitm.core.stored import check_label, check_token
from neurolink_mitm.core.target import DIRECT, NO_PROXY_URL, Via

_LONGEST_TIMEOUT = 86_400
"""Seconds: one day. Beyond, timers of event loops begin to overflow."""


def must(be: str) -> WrapValidator:
    """Whatever a kind's own checks find, say what the value must be."""

    def check(value: object, handler: Handler) -> object:
        try:
            return handler(value)
        except ValidationError:
            raise ValueError(f"must be {be}") from None

    return WrapValidator(check)


def _no_bool(value: object) -> object:
    # pydantic takes `true` for 1
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


_Number = BeforeValidator(_no_bool)
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False), _Number, must("a number > 0")]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False), _Number, must("a number ≥ 0")]
Seconds = Annotated[
    float,
    Field(gt=0, le=_LONGEST_TIMEOUT),
    _Number,
    must(f"a number of seconds > 0 and at most {_LONGEST_TIMEOUT}"),
]
WholeNumber = Annotated[int, _Number, must("a whole number")]
Count = Annotated[int, Field(ge=0), _Number, must("a whole number ≥ 0")]
PositiveCount = Annotated[int, Field(ge=1), _Number, must("a whole number ≥ 1")]
Flag = Annotated[bool, must("true or false")]
Text = Annotated[str, Field(min_length=1), must("a text (in quotes, if it looks like a number)")]
Label = Annotated[Text, AfterValidator(check_label)]


def _split(url: str) -> SplitResult:
    """Take a URL apart; `urlsplit` itself lets white space and impossible ports pass."""
    parts = urlsplit(url)
    if re.search(r"[\s\x00-\x1f\x7f]", url) or not parts.hostname or parts.port == 0:
        raise ValueError("not a URL")
    return parts


def _http(url: str, kind: str = "an http or https URL") -> SplitResult:
    try:
        parts = _split(url)
    except ValueError:
        raise ValueError(f"must be {kind}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"must be {kind}")
    return parts


def _url(url: str) -> str:
    parts = _http(url)
    if "@" in parts.netloc:
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
        said = str(e) or NO_PROXY_URL
        raise ValueError(f'{said}, or "{DIRECT}"') from None
    return url


Url = Annotated[Text, AfterValidator(_url)]
BaseUrl = Annotated[Text, AfterValidator(_base_url)]
ProxyUrl = Annotated[Text, AfterValidator(_proxy_url)]


def bare(fault: str) -> PydanticCustomError:
    """A fault that is told without the value."""
    return PydanticCustomError("bare", "{fault}", {"fault": fault})


def _not_empty(items: tuple[object, ...]) -> tuple[object, ...]:
    if not items:
        raise bare("must not be empty")
    return items


NotEmpty = AfterValidator(_not_empty)
"""Of lists. `min_length` would count only the items that are good, and so fault a list twice."""


def _secret(value: object, handler: Handler) -> Secret:
    try:
        return Secret(check_token(handler(value)))
    except ValidationError:
        raise bare("must be a text (in quotes)") from None
    except ValueError as e:
        raise bare(str(e)) from None


SecretText = Annotated[
    Secret,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_wrap_validator_function(
            _secret, core_schema.str_schema()
        )
    ),
]


def _pattern(text: str) -> str:
    if wrong := fault(text):
        raise ValueError(f"must be a regular expression ({wrong})")
    return text


def _fingerprint(text: str) -> str:
    plain = text.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", plain):
        raise ValueError("must be the SHA-256 of a certificate, 64 hexadecimal digits")
    return plain


Pattern = Annotated[Text, AfterValidator(_pattern)]
Fingerprint = Annotated[Text, AfterValidator(_fingerprint)]


def _options(value: object) -> object:
    match value:
        case bool() | "true" | "false":  # the texts come from variables
            return {"enabled": value}
        case dict():
            # whoever gives a plugin options wants it
            return {"enabled": True, **value} if value else value
    raise ValueError("must be true, false or a mapping of options")


PluginOptions = BeforeValidator(_options)
"""A plugin is given as true, as false, or as its options."""


def _off(value: object) -> object:
    # YAML 1.1 reads a bare `off` as false
    return "off" if value is False else value


OffIsText = BeforeValidator(_off)
