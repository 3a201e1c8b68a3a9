"""Mail addresses in pages: each is shown masked, and what comes back masked is read as the address.

The default label of a login is its mail address, and labels are in keys, links, forms and messages, too. So nothing
that makes a page has to think of it: what templates print goes through `Mails.mask`, what a query or a form holds
through `Mails.unmask`. Who asks for the addresses gets them at `/mails`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator
from itertools import count
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote

from neurolink_mitm.core.redact.search import addresses

MOST = 5000
"""Addresses that are remembered; of more, those that were shown last."""
_MASKED = re.compile(r"\S…@\S…(?:·\d+)?")
_ENCODED = re.compile(r"[\w.~%-]+")
"""A name or a value of a query."""


def masked(address: str, taken: Container[str] = ()) -> str:
    """Return what stands for an address: `j…@e…`, with a number where that is `taken`."""
    local, _, domain = address.rpartition("@")
    short = f"{local[0]}…@{domain[0]}…"
    numbered = (f"{short}·{number}" for number in count(2))
    return short if short not in taken else next(each for each in numbered if each not in taken)


def mails_in(text: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each mail address; `package@1.2.3` is none."""
    for start, end in addresses(text):
        if not text[text.rindex(".", start, end) + 1].isdecimal():
            yield start, end


class Mails:
    """The addresses that were masked, each by what stands for it. Safe for threads."""

    def __init__(self) -> None:
        self._masks: OrderedDict[str, str] = OrderedDict()
        """By address; those that were shown last are at the end."""
        self._addresses: dict[str, str] = {}
        self._lock = Lock()

    def know(self, labels: Iterable[str]) -> None:
        """Mask labels in their order, so that the same accounts have the same masks after each start."""
        for label in sorted(labels):
            self.mask(label)

    def mask(self, value: Any) -> Any:
        """Return a text without mail addresses; what is no text is returned as it is."""
        if not isinstance(value, str):
            return value
        if "%40" in value:
            value = _ENCODED.sub(self._encoded, value)
        return self._without(value) if "@" in value else value

    def mask_all(self, value: Any) -> Any:
        """Return a value of JSON without mail addresses."""
        if isinstance(value, dict):
            return {self.mask(name): self.mask_all(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [*map(self.mask_all, value)]
        return self.mask(value)

    def unmask(self, text: str) -> str:
        """Return a text with the addresses for what stands for them."""
        return _MASKED.sub(lambda each: self._addresses.get(each[0], each[0]), text)

    def by_mask(self) -> dict[str, str]:
        """Return the addresses, each by what stands for it."""
        with self._lock:
            return dict(self._addresses)

    def _without(self, text: str) -> str:
        pieces, at = [], 0
        for start, end in mails_in(text):
            pieces += [text[at:start], self._mask_of(text[start:end])]
            at = end
        return "".join((*pieces, text[at:]))

    def _encoded(self, match: re.Match[str]) -> str:
        text = unquote(match[0], errors="replace")
        hidden = self._without(text)
        return match[0] if hidden == text else quote(hidden, safe="")

    def _mask_of(self, address: str) -> str:
        with self._lock:
            if mask := self._masks.get(address):
                self._masks.move_to_end(address)
                return mask
            made = masked(address, self._addresses)
            self._masks[address], self._addresses[made] = made, address
            if len(self._masks) > MOST:
                del self._addresses[self._masks.popitem(last=False)[1]]
            return made
