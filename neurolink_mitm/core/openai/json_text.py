"""Keeps a model's answer to its JSON, as it streams: JSON was asked for in words, and comes with a fence or with prose.

Left out is what stands before and behind the value. Corrected inside of it is what models write and no parser takes:
line ends and tabs in strings, escapes that JSON has not, commas before a closing bracket. Any split of the text gives
the same. https://platform.openai.com/docs/guides/structured-outputs#json-mode
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.openai.errors import RequestError

_HELD = 300
"""Characters before the value that are searched again when more come; no beginning of a value is longer."""
_SHOWN = 200
_FIRST = re.compile(r"\{|\[\s{0,50}(?:[\[{\"\d\]-]|true|false|null)")
"""The beginning of a value that is the beginning of the answer."""
_MAYBE_FIRST = re.compile(r"\[\s{0,50}(?:tr?u?|fa?l?s?|nu?l?)?\Z")
_LETTER = r"(?> [^\"\\\n] | \\u[0-9a-fA-F]{4} | \\. )"
_AMONG_PROSE = re.compile(
    r"(?<=```) [a-zA-Z0-9]{0,20} \s{0,50} (?=[{\[])"  # in a fence
    # an object up to its first colon, or with a long key
    r'| (?= \{ \s{0,50} (?: \} | " (?:'
    + _LETTER
    + "{36} |"
    + _LETTER
    + r'{0,35}+ " \s{0,20} : ) ) )',
    re.VERBOSE,
)
_AROUND = " \t\r\n\ufeff"
_SPACE = re.compile(r"[ \t\r\n]+")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]+')
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_MAYBE_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_WORD = re.compile(r"[-+.0-9a-zA-Z]+")
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null", re.ASCII)
_CLOSED_BY = {"{": "}", "[": "]"}

_VALUE, _KEY, _COLON, _NEXT, _STRING = "value", "key", "colon", "next", "string"


class NotJsonError(RequestError):
    """The model's answer is no JSON. A client that asks again may get some."""

    def __init__(self, text: str) -> None:
        shown = text if len(text) < _SHOWN else f"{text[:_SHOWN]}…"
        super().__init__(
            f"The model's answer is not JSON: {shown}", code="invalid_json", status=502
        )


def json_of(text: str, *, cut: bool = False, optional: bool = False) -> str:
    """Return the JSON of a whole answer, as `JsonText` does in pieces; a good one is not read token by token."""
    bare = text.strip(_AROUND)
    if _FIRST.match(bare) and _is_json(bare):
        return bare
    reader = JsonText()
    json = reader.feed(text)
    reader.end(cut=cut, optional=optional)
    return json


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)  # makes no objects, and is as strict
    except UNREADABLE:
        return False
    return True


@dataclass(slots=True)
class JsonText:
    """Takes an answer's text in pieces; gives the pieces of its JSON. Raises `NotJsonError` where it is none."""

    begun: bool = False
    """The value has begun."""
    done: bool = False
    """The value is complete; what follows is left out."""
    _first: str = ""
    """The beginning of the answer, for the error."""
    _held: str = ""
    """What can't be judged before more comes: prose, or a token that is not complete."""
    _prose: bool = False
    _closers: list[str] = field(default_factory=list)
    """The brackets that are to come, the innermost last."""
    _expected: str = _VALUE
    _after_string: str = _NEXT
    _may_close: bool = False
    """A closing bracket may stand here: behind an opening one, or in place of what belongs to `_comma`."""
    _comma: str = ""
    """A comma and the space behind it, which wait for the next item."""

    def feed(self, text: str) -> str:
        """Return what of the JSON can be sent now."""
        if self.done:
            return ""
        if len(self._first) <= _SHOWN:
            self._first += text[: _SHOWN + 1]
        text = self._held + text
        self._held = ""
        if not self.begun:
            text = self._from_its_beginning(text)
        return self._read(text) if self.begun else ""

    def end(self, *, cut: bool = False, optional: bool = False) -> None:
        """Take the end of the answer. `cut`: it was broken off, by `max_tokens` say, and need not be complete.
        `optional`: there need not be any JSON, as tools are called."""
        if not (self.done or cut or (optional and not self.begun)):
            raise NotJsonError(self._first)

    def _from_its_beginning(self, text: str) -> str:
        if not self._prose:
            text = text.lstrip(_AROUND)
            self.begun = _FIRST.match(text) is not None
            if self.begun or not text:
                return text
            self._prose = not _MAYBE_FIRST.match(text)
        beginning = _AMONG_PROSE.search(text) if self._prose else None
        if beginning:
            self.begun = True
            return text[beginning.end() :]
        self._held = text[-_HELD:] if self._prose else text
        return ""

    def _read(self, text: str) -> str:
        pieces: list[str] = []
        at = 0
        while at < len(text) and not self.done:
            step = self._string(text, at) if self._expected == _STRING else self._token(text, at)
            if step is None:
                self._held = text[at:]
                break
            piece, at = step
            pieces.append(piece)
        return "".join(pieces)

    def _string(self, text: str, at: int) -> tuple[str, int] | None:
        """Read on in a string: return a piece to send and where it ends, or None if more must come."""
        if plain := _PLAIN.match(text, at):
            return plain[0], plain.end()
        if text[at] == '"':
            self._expected = self._after_string
            return '"', at + 1
        if text[at] != "\\":
            return f"\\u{ord(text[at]):04x}", at + 1
        if escape := _ESCAPE.match(text, at):
            return escape[0], escape.end()
        return None if _MAYBE_ESCAPE.match(text, at) else ("\\\\", at + 1)

    def _token(self, text: str, at: int) -> tuple[str, int] | None:
        """Read what stands outside of strings, in the same way."""
        if space := _SPACE.match(text, at):
            return self._space(space[0]), space.end()
        char = text[at]
        if char in "}]":
            return self._close(char), at + 1
        if char == "," and self._expected == _NEXT:
            self._comma = ","
            self._expected = _KEY if self._closers[-1] == "}" else _VALUE
            self._may_close = True
            return "", at + 1
        if char == ":" and self._expected == _COLON:
            self._expected = _VALUE
            return ":", at + 1
        if char == '"' and self._expected in (_KEY, _VALUE):
            self._after_string = _COLON if self._expected == _KEY else _NEXT
            return self._item('"', _STRING), at + 1
        if self._expected != _VALUE:
            raise NotJsonError(self._first)
        if char in _CLOSED_BY:
            self._closers.append(_CLOSED_BY[char])
            opened = self._item(char, _KEY if char == "{" else _VALUE)
            self._may_close = True
            return opened, at + 1
        return self._scalar(text, at)

    def _scalar(self, text: str, at: int) -> tuple[str, int] | None:
        word = _WORD.match(text, at)
        if word and word.end() == len(text) and len(word[0]) < _HELD:
            return None
        if word is None or not _SCALAR.fullmatch(word[0]):
            raise NotJsonError(self._first)
        return self._item(word[0], _NEXT), word.end()

    def _item(self, text: str, expected: str) -> str:
        """Begin an item, or its key: the comma before it was none too many."""
        comma, self._comma = self._comma, ""
        self._may_close = False
        self._expected = expected
        return comma + text

    def _space(self, space: str) -> str:
        if not self._comma:
            return space
        self._comma += space
        return ""

    def _close(self, char: str) -> str:
        closable = self._expected == _NEXT or self._may_close
        if not (closable and self._closers and self._closers[-1] == char):
            raise NotJsonError(self._first)
        self._closers.pop()
        self.done = not self._closers
        return self._item(char, _NEXT).removeprefix(",")
