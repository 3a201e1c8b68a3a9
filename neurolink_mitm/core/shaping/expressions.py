"""The user's own regular expressions, which may take any time.

They run in `regex`, which has a timeout and releases the GIL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

PATIENCE = 5.0
"""Seconds that all expressions together may take for one request; then it is refused."""


class TooSlowError(Exception):
    """An expression takes too long. The text has its number, and nothing of the request."""


def fault(expression: str) -> str | None:
    """Return why an expression can't be used; None if it can."""
    import regex  # takes a while, and most configurations have no expression

    try:
        re.compile(expression)  # whose words about what is wrong are known
        regex.compile(expression, regex.VERSION0)
    except (re.error, regex.error, OverflowError, RecursionError, MemoryError) as e:
        return str(e)
    return None


class Expression:
    """A user's expression, in the syntax of `re`."""

    def __init__(self, number: int, expression: str) -> None:
        import regex

        self._number = number
        self._pattern = regex.compile(expression, regex.VERSION0)

    def find(self, text: str, seconds: float) -> Iterator[tuple[int, int]]:
        """Yield the places of the matches. Raises `TooSlowError` after `seconds`."""
        try:
            if seconds > 0:
                found = self._pattern.finditer(text, timeout=seconds, concurrent=True)
                yield from (match.span() for match in found)
                return
        except TimeoutError:
            pass
        raise TooSlowError(
            f"the expression cloaking.plugins.wordObfuscator.patterns[{self._number}] takes too long"
            f" (more than {PATIENCE:g} s): write it so that it can match in one way only"
        )
