"""Reads requests in OpenAI's form: what is wrong becomes a `RequestError` that names the field, as OpenAI does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import LONGEST_MODEL
from neurolink_mitm.core.request.json_spans import Span

NULL = msgspec.Raw(b"null")
_MARGIN = 300
"""Levels of JSON that may stand around what is read here from a string (arguments, say)."""
_T = TypeVar("_T")
_MISSING = re.compile(r"Object missing required field `(.+?)`")
_HALVES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""Escapes; in the group, a half of a letter that stands alone."""
_LONGEST = 300
"""Characters of what msgspec says, which may quote the value."""
_any = msgspec.json.Decoder(msgspec.Raw)


def read_request(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    """Return the decoded body. Halves of letters, which JSON can hold and UTF-8 can't, become question marks."""
    try:
        if not body.isascii():
            body.decode()
    except UnicodeError as e:
        raise RequestError(f"The body of the request is not UTF-8: {e}") from e
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as e:
        raise _wrong(e, "") from e
    except UNREADABLE as e:
        mended = with_whole_letters(body)
        if mended is not body:
            return read_request(decoder, mended)
        raise RequestError(f"The body of the request is not valid JSON: {_words(e)}") from e


def read(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw | bytes, at: str) -> _T:
    """Return the decoded value of the field `at`."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as e:
        raise _wrong(e, at) from e
    except UNREADABLE as e:
        raise RequestError(f"Invalid '{at}': {_words(e)}", at) from e


def read_items(
    decoder: msgspec.json.Decoder[list[_T]] | msgspec.json.Decoder[list[_T] | None],
    items: list[_T] | msgspec.Raw | None,
    at: str,
) -> Iterator[tuple[str, _T]]:
    """Yield path and value of each item in the field `at`. What is not decoded yet is decoded in groups."""
    if not isinstance(items, msgspec.Raw):
        for number, value in enumerate(items or ()):
            yield f"{at}[{number}]", value
        return
    body = bytes(items)
    everything = Span(0, len(body))
    number = 0
    for group in spans.groups(body, everything) if body.startswith(b"[") else (everything,):
        try:
            whole = len(body) <= spans.LARGE or not body.startswith(b"[")
            values = decoder.decode(body if whole else spans.bracketed(body, everything, group))
        except msgspec.ValidationError as e:
            raise _wrong(e, at, number) from e
        except UNREADABLE as e:
            raise RequestError(f"Invalid '{at}': {_words(e)}", at) from e
        for value in values or ():
            yield f"{at}[{number}]", value
            number += 1


def with_whole_letters(json: bytes) -> bytes:
    """Return JSON with a question mark of Unicode's for each half of a letter that stands alone."""
    if b"\\ud" not in json and b"\\uD" not in json:
        return json
    mended = _HALVES.sub(lambda match: b"\\ufffd" if match[1] else match[0], json)
    return json if mended == json else mended


def is_object(json: bytes) -> bool:
    """Tell whether this is a JSON object, and one that can be a part of a request."""
    if not json.lstrip(b" \t\r\n").startswith(b"{"):
        return False
    try:
        around = _MARGIN if json.count(b"{") + json.count(b"[") > _MARGIN else 0
        _any.decode(b"[" * around + json + b"]" * around)
    except UNREADABLE:
        return False
    return True


def string(raw: msgspec.Raw, at: str) -> bytes:
    """Return the JSON of a string. Raises `RequestError` for any other value."""
    text = bytes(raw)
    if not text.startswith(b'"'):
        raise RequestError(f"Invalid type for '{at}': expected a string, got {kind_of(text)}", at)
    return text


def text_of(raw: msgspec.Raw, at: str) -> str:
    """Return a string, decoded. Raises `RequestError` for any other value."""
    text: str = msgspec.json.decode(string(raw, at), type=str)
    return text


def kind_of(json: bytes) -> str:
    """Return the name of the type of a JSON value, for messages."""
    return _KINDS.get(json[:1], "a number")


_KINDS = {
    b'"': "a string", b"{": "an object", b"[": "a list", b"n": "null", b"t": "a boolean", b"f": "a boolean"
}  # fmt: skip


def missing(param: str) -> RequestError:
    """Return the error for a field that is required."""
    message = f"Missing required parameter: '{param}'."
    return RequestError(message, param, "missing_required_parameter")


def checked_model(model: str) -> str:
    """Return the name of a model. Raises `RequestError` for an empty one, and one that is too long."""
    if not model:
        message = "You must provide a model parameter."
        raise RequestError(message, "model", "missing_required_parameter")
    if len(model) > LONGEST_MODEL:
        message = f"Invalid 'model': longer than {LONGEST_MODEL} characters."
        raise RequestError(message, "model", "string_above_max_length")
    return model


def _wrong(error: msgspec.ValidationError, at: str, first: int = 0) -> RequestError:
    """Return the error for a value of the wrong type; `first` is the number of the first item of a group."""
    what, _, path = str(error).partition(" - at `$")
    path = path.rstrip("`").replace("[...]", "")  # a member of any name
    if first and (index := re.match(r"\[(\d+)\]", path)):
        path = f"[{int(index[1]) + first}]{path[index.end() :]}"
    param = f"{at}{path}" if at else path.lstrip(".")
    if field := _MISSING.fullmatch(what):
        return missing(f"{param}.{field[1]}".lstrip("."))
    where = f" for '{param}'" if param else ""
    return RequestError(
        f"Invalid value{where}: {_lower(what)[:_LONGEST]}", param or None, "invalid_type"
    )


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _words(error: Any) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
