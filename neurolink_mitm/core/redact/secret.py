"""A string that must not be seen: keys and tokens carry this type from the file to the header."""

from __future__ import annotations

import hmac
from typing import NoReturn

MASK = "**********"


class Secret:
    """A key or token that prints as stars; `reveal()` is the one way to its text.

    The number of stars says nothing about the length. Compares in constant time, hashes (by the
    text), copies to itself, and refuses to be pickled, so that no plain text lands in a file or
    in another process by accident. After starlette's `datastructures.Secret`.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the wire and the 0600 file it lives in, nothing else."""
        return self._text

    def matches(self, candidate: str) -> bool:
        """Whether `candidate` (a caller's key, say) is this secret, in constant time."""
        return hmac.compare_digest(_encoded(self._text), _encoded(candidate))

    def __eq__(self, other: object) -> bool:
        return self.matches(other._text) if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled: it would be written in plain text")


def _encoded(text: str) -> bytes:
    # header values may hold stray surrogates; they must compare unequal, not raise
    return text.encode("utf-8", "surrogatepass")
