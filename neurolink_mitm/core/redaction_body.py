"""Takes secrets out of headers and bodies that are about to be written, and leaves every other byte of them.

A body is text: JSON, a form, an event stream, or anything else, and JSON may stand quoted within JSON, as the arguments
of tools do. So it is searched as text and never parsed as a whole: what can't be parsed must not leak either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from neurolink_mitm.core.headers import Fields
from neurolink_mitm.core.redaction import STARS, Found, merged, redact, replaced, tokens
from neurolink_mitm.core.redaction_rules import named
from neurolink_mitm.core.steps import places

_SECRET_FIELD = re.compile(
    r"(?i)authori[sz]ation|cookie|api-?key|secret|token(?!s)|password|credential|neurolink-admin"
)


def redact_fields(fields: Fields, known: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Header fields as text, with stars for those named like a credential and for whatever looks like one."""
    return [(_text(name), _value(_text(name), _text(value), known)) for name, value in fields]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _value(name: str, value: str, known: Sequence[str]) -> str:
    if _SECRET_FIELD.search(name):
        return STARS
    return redact_value(value, known)


def redact_value(text: str, known: Sequence[str] = ()) -> str:
    """A short text with stars for the secrets of `known`, and for whatever looks like one."""
    return redact(replaced(text, merged(*_known(text, known))))


def redact_body(text: str, known: Sequence[str] = ()) -> str:
    """The same text with stars for secrets, those of `known` whatever they look like. What was valid JSON still is."""
    return replaced(text, secrets(text, known))


def secrets(text: str, known: Sequence[str] = ()) -> Iterator[Found]:
    """Where they are, in order; none overlaps another."""
    return merged(*tokens(text), *named(text), *_known(text, known))


def _known(text: str, known: Sequence[str]) -> Iterator[Iterator[Found]]:
    return (_places(text, secret) for secret in known)


def _places(text: str, secret: str) -> Iterator[Found]:
    return (Found(at, at + len(secret)) for at in places(text, secret))
