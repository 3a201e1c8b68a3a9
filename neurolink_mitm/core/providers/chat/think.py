"""Tells thinking from text where a server leaves it in the text: `<think>…</think>` at its beginning.

Servers without a reasoning parser (llama.cpp, LM Studio, older vLLM and Ollama) send the tags as the model wrote them.
Only tags that open the answer count: behind other words they may be the answer's subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MOST_BLANK = 200
"""Characters of white space that may stand before an opening tag."""
_OPENING = re.compile(rf"\s{{0,{_MOST_BLANK}}}<think(?:ing)?>")
_TAGS = ("<think>", "<thinking>")
_CLOSING = re.compile(r"</think(?:ing)?>\s*")
_LONGEST = len("</thinking>")

Piece = tuple[str, str]
"""Which of "thinking" and "text" it is, and its words."""


@dataclass(slots=True)
class ThinkTags:
    """Takes pieces of text; gives pieces of thinking and text. Any split gives the same words."""

    _held: str = ""
    _state: str = "start"
    """`start` until it is known whether a tag opens the text, then `thinking`, `after` (its end), `text`."""

    def feed(self, text: str) -> Iterator[Piece]:
        if self._state == "text":
            yield "text", text
            return
        self._held += text
        if self._state == "start":
            yield from self._open()
        if self._state == "thinking":
            yield from self._think()
        if self._state == "after":
            self._held = self._held.lstrip()
            if self._held:
                yield from self._pass("text", self._held)

    def end(self) -> Iterator[Piece]:
        """Yield what was held back."""
        if self._held and self._state != "after":
            yield from self._pass("thinking" if self._state == "thinking" else "text", self._held)

    def _open(self) -> Iterator[Piece]:
        if found := _OPENING.match(self._held):
            self._state, self._held = "thinking", self._held[found.end() :]
            return
        begun = self._held.lstrip()
        blank = len(self._held) - len(begun)
        if blank > _MOST_BLANK or not any(tag.startswith(begun) for tag in _TAGS):
            yield from self._pass("text", self._held)

    def _think(self) -> Iterator[Piece]:
        if found := _CLOSING.search(self._held):
            thought, self._held = self._held[: found.start()], self._held[found.end() :]
            self._state = "after"
        else:
            whole = _without_partial(self._held)
            thought, self._held = self._held[:whole], self._held[whole:]
        if thought:
            yield "thinking", thought

    def _pass(self, state: str, text: str) -> Iterator[Piece]:
        self._state, self._held = state, ""
        yield state, text


def _without_partial(text: str) -> int:
    """Return the length of `text` without an end that may begin a closing tag."""
    place = text.rfind("<", max(0, len(text) - _LONGEST))
    begins = place >= 0 and "</thinking>".startswith(text[place:])
    return place if begins else len(text)
