"""The spellings of a word in a conversation: composed letters, JSON, URLs; case is ignored elsewhere."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from urllib.parse import quote


def spellings(words: Iterable[str]) -> list[str]:
    """Return all spellings of `words`, the longest first. Each has its own placeholder, so it comes back as it was."""
    return sorted(
        dict.fromkeys(each for word in words for each in _of(word)), key=len, reverse=True
    )


def host_spellings(names: Iterable[str]) -> list[str]:
    """Return all spellings of domain names, the longest first; they have an ASCII form, too (RFC 3490)."""
    forms = dict.fromkeys(form for name in names for form in (*_composed(name), *_idna(name)))
    return sorted(forms, key=len, reverse=True)


def _of(word: str) -> Iterator[str]:
    for cased in (word, word.lower(), word.upper(), word.capitalize()):
        for each in _composed(cased):
            yield each
            if each.isalnum() and each.isascii():
                continue  # none of these changes it
            yield json.dumps(each)[
                1:-1
            ]  # in JSON that is itself a text: a file, what a tool printed
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
