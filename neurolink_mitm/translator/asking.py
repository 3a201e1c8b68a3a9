"""Asks again without what a provider refuses, where the request can do without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

Json = dict[str, Any]

MOST_TRIES = 4
"""Requests for one: each is without something that the one before was refused for."""
_MENDABLE = (400, 404, 422)
_MOST_TEXT = 4000
"""Characters of an error that are kept."""
_MOST_KNOWN = 256
"""Models of which it is remembered what they refused."""


class Refusals(Protocol):
    """The module that knows what can be left out (`chat.refused`, `responses.request`)."""

    def without_refused(self, arguments: Json, text: str) -> Json | None:
        """Return the arguments without what the error `text` complains of; None if that can't be left out."""

    def lasting(self, text: str) -> bool:
        """Tell whether the error is of what the model refuses always."""


class Asking:
    """Calls a function of LiteLLM, and again without what its provider refuses."""

    def __init__(self, call: Callable[..., Awaitable[Any]], refusals: Refusals) -> None:
        self._call = call
        self._refusals = refusals
        self._known: dict[tuple[object, ...], list[str]] = {}
        """By access and model: the errors of what it refuses always."""

    async def __call__(self, **arguments: Any) -> Any:
        known = self._of(arguments)
        for text in known:
            arguments = self._refusals.without_refused(arguments, text) or arguments
        for left in reversed(range(MOST_TRIES)):
            try:
                return await self._call(**arguments)
            except Exception as e:
                text = str(e)
                less = self._refusals.without_refused(arguments, text)
                if not left or less is None or getattr(e, "status_code", None) not in _MENDABLE:
                    raise
                arguments = less
                if self._refusals.lasting(text[:_MOST_TEXT]):
                    known.append(text[:_MOST_TEXT])
        raise AssertionError("unreachable")

    def _of(self, arguments: Json) -> list[str]:
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        key = tuple(hash(arguments.get(name)) for name in ("model", "api_base", "api_key"))
        return self._known.setdefault(key, [])
