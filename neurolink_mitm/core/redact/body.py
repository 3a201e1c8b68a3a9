"""Masks secrets in headers and bodies, and leaves every other byte unchanged.

A body is searched as text, be it JSON, a form or anything else: JSON may be quoted within JSON, as the arguments of
tools are, and a secret in a body that can't be parsed must not leak either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from neurolink_mitm.core.openai.responses.reasoning import thinking_block
from neurolink_mitm.core.redact.search import passed, places
from neurolink_mitm.core.redact.text import (
    MASK,
    SecretMatch,
    merged,
    named,
    redact,
    replaced,
    tokens,
)
from neurolink_mitm.core.request.headers import Fields

_SECRET_FIELD = re.compile(
    r"(?i)authori[sz]ation|cookie|api-?key|secret|token(?!s)|password|credential|neurolink-admin"
)


def redact_fields(fields: Fields, known: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return header fields as text, with credentials masked, by their name or their form."""
    return [(_text(name), _value(_text(name), _text(value), known)) for name, value in fields]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _value(name: str, value: str, known: Sequence[str]) -> str:
    if _SECRET_FIELD.search(name):
        return MASK
    return redact_value(value, known)


def redact_value(text: str, known: Sequence[str] = ()) -> str:
    """Mask the secrets of `known`, and all that has the form of a secret, in a short text."""
    return redact(replaced(text, merged(*_known(text, known))))


def redact_body(text: str, known: Sequence[str] = ()) -> str:
    """Mask secrets in a body, those of `known` whatever their form. Valid JSON stays valid."""
    return replaced(text, secrets(text, known))


def secrets(text: str, known: Sequence[str] = ()) -> Iterator[SecretMatch]:
    """Yield the secrets in order, without overlaps."""
    return merged(*_plain(text, known), _in_thinking(text, known))


def _plain(text: str, known: Sequence[str]) -> Iterator[Iterator[SecretMatch]]:
    yield from tokens(text)
    yield from named(text)
    yield from _known(text, known)


_THINKING = "nl1.ey"
"""Begins an `encrypted_content` of ours: thinking, as Base64 of JSON (`core/openai/responses/reasoning.py`)."""
_BASE64 = re.compile(r"[A-Za-z0-9_=-]{1,4096}+")
_SHORTEST = 24
"""Characters of one at least: `nl1.eyes.example` is none."""


def _in_thinking(text: str, known: Sequence[str]) -> Iterator[SecretMatch]:
    """Yield thinking that holds a secret, as a whole; so is what is cut off and can't be searched."""
    for at in places(text, _THINKING):
        end = passed(_BASE64, text, at + len(_THINKING))
        if end - at < _SHORTEST:
            continue
        block = thinking_block(text[at:end])
        if block is None or next(merged(*_plain(block.decode(), known)), None):
            yield SecretMatch(at, end)


def _known(text: str, known: Sequence[str]) -> Iterator[Iterator[SecretMatch]]:
    return (_places(text, secret) for secret in known if secret in text)


def _places(text: str, secret: str) -> Iterator[SecretMatch]:
    return (SecretMatch(at, at + len(secret)) for at in places(text, secret))
