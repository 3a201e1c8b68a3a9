"""The two ways in which LiteLLM is asked: OpenAI's chat API, and its Responses API.

LiteLLM brings each provider's endpoint, login and dialect; what is asked and answered is translated in core.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Any, Protocol

from neurolink_mitm.core.providers.chat import refused
from neurolink_mitm.core.providers.chat.events import ChatEvents
from neurolink_mitm.core.providers.chat.request import chat_request
from neurolink_mitm.core.providers.responses import request as responses
from neurolink_mitm.core.providers.responses.events import ResponsesEvents
from neurolink_mitm.core.providers.traits import Traits
from neurolink_mitm.translator.asking import Asking
from neurolink_mitm.translator.chunks import chunks
from neurolink_mitm.translator.responses import pieces

Json = dict[str, Any]


class Events(Protocol):
    """Translates a stream: pieces of OpenAI's form in, events of Anthropic's form out."""

    def feed(self, piece: Json) -> Iterable[Json]:
        """Return the events that a piece makes."""

    def end(self) -> Iterable[Json]:
        """Return the events that are due at the end of the stream; no `message_stop` where it was cut."""


class Way(Protocol):
    """A way to ask. `request` is an adapted one, in Anthropic's form."""

    def arguments(self, request: Json, traits: Traits) -> Json:
        """Return what `call` is called with, but for model and access."""

    async def call(self, **arguments: Any) -> Any:
        """Ask the provider."""

    def pieces(self, answer: Any) -> AsyncGenerator[Json]:
        """Yield the pieces of a streamed answer of `call`."""

    def events(self, request: Json, traits: Traits) -> Events:
        """Return the translation of one streamed answer."""


class Chat:
    """OpenAI's chat API, in which LiteLLM asks every provider."""

    def __init__(self, litellm: Any) -> None:
        self._ask = Asking(litellm.acompletion, refused)

    def arguments(self, request: Json, traits: Traits) -> Json:
        return chat_request(request, traits)

    async def call(self, **arguments: Any) -> Any:
        return await self._ask(**arguments)

    def pieces(self, answer: Any) -> AsyncGenerator[Json]:
        return chunks(answer)

    def events(self, request: Json, traits: Traits) -> Events:
        return ChatEvents(traits.own_thinking, _stops(request))


class Responses:
    """OpenAI's Responses API."""

    def __init__(self, litellm: Any) -> None:
        self._ask = Asking(litellm.aresponses, responses)

    def arguments(self, request: Json, traits: Traits) -> Json:
        return responses.responses_request(request, traits)

    async def call(self, **arguments: Any) -> Any:
        return await self._ask(**arguments)

    def pieces(self, answer: Any) -> AsyncGenerator[Json]:
        return pieces(answer)

    def events(self, request: Json, traits: Traits) -> Events:
        return ResponsesEvents()


def _stops(request: Json) -> list[str]:
    return request.get("stop_sequences") or []
