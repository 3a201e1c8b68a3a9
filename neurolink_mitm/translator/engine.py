"""Asks providers through LiteLLM: the only module that imports it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from neurolink_mitm.core.openai.embeddings import EmbeddingsRequest
from neurolink_mitm.core.providers import catalog
from neurolink_mitm.core.providers.adapt import Adapted, UnsupportedError, adapt, words_of
from neurolink_mitm.core.providers.collected import message_of
from neurolink_mitm.core.providers.errors import ProviderError, provider_error
from neurolink_mitm.core.providers.pdf import pdfs_in
from neurolink_mitm.core.providers.stops import StopSequences
from neurolink_mitm.core.providers.traits import Api, Traits, traits
from neurolink_mitm.core.providers.translator import Access
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.translator import vertexai
from neurolink_mitm.translator.embeddings import Embeddings
from neurolink_mitm.translator.pdf import Pdfs
from neurolink_mitm.translator.tokenizer import delay_tokenizer
from neurolink_mitm.translator.ways import Chat, Responses, Way

logger = logging.getLogger("neurolink.translator")

Json = dict[str, Any]
OPENAI = "openai"
WITHOUT_SDK = frozenset(
    {"google-ai", "vertex", "bedrock", "ollama", "mistral", "groq", "deepseek", "openrouter",
     "minimax", "xai"}
)  # fmt: skip
"""Providers that LiteLLM asks without OpenAI's package."""
MOST_NOTES = 100
"""Notes about requests that are logged, each once."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request in Anthropic's form, and the provider and model that it is for."""

    provider: str
    model: str
    access: Access
    body: Json

    @property
    def entry(self) -> str:
        """Return the name of the chain's entry: `openai/gpt-5`."""
        return f"{self.provider}/{self.model}"

    @property
    def answers_as(self) -> str:
        """Return the model's name in the answer: of a Claude on a cloud, the one that the client asked for.

        Claude Code resumes a session with the model of its last answer, if that is a Claude: it would stay with this
        entry when the accounts are back.
        """
        asked = self.body.get("model")
        return asked if "claude" in self.model.lower() and isinstance(asked, str) else self.model

    @property
    def litellm_name(self) -> str:
        """Return the model's name in LiteLLM."""
        return catalog.litellm_name(self.provider, self.model)

    @property
    def thinks(self) -> bool:
        """Tell whether the client asks for thinking."""
        thinking = self.body.get("thinking")
        return isinstance(thinking, dict) and thinking.get("type") not in (None, "disabled")


class Engine(Protocol):
    """Asks providers. `request` is always the one that `adapted` returned."""

    async def adapted(self, question: Question, *, documents: bool = True) -> Adapted:
        """Return the request as the provider takes it; without `documents`, as if it took no PDF.

        Raises `ProviderError`.
        """

    async def ask(self, question: Question, request: Json) -> Json:
        """Return a whole response. Raises `ProviderError`."""

    def stream(self, question: Question, request: Json) -> AsyncIterator[Json]:
        """Yield the events of a response. Raises `ProviderError`, also between events."""

    def count(self, question: Question) -> int:
        """Estimate the input tokens of a request."""

    async def embed(self, question: Question, request: EmbeddingsRequest) -> bytes:
        """Return the body of an answer with embeddings. Raises `ProviderError`."""


class LiteLlm:
    """The engine that uses LiteLLM. Creating it takes seconds."""

    def __init__(self, providers: Collection[str] = ()) -> None:
        """Import what requests to `providers` need, so that the first one does not wait for it."""
        # else LiteLLM downloads prices, reads the .env of the current directory, and asks for embeddings three times
        os.environ.update(
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            LITELLM_MODE="PRODUCTION",
            DEFAULT_MAX_RETRIES="0",
        )
        delay_tokenizer()
        vertexai.stand_in()
        import litellm

        if not WITHOUT_SDK.issuperset(providers):
            # OpenAI's package imports its larger part when the first client is made: 0.4 s
            with contextlib.suppress(ImportError):
                import openai.resources  # noqa: F401

        litellm.suppress_debug_info = True
        litellm.drop_params = True  # leave out what a model can't take, instead of failing
        litellm.telemetry = False
        litellm.disable_hf_tokenizer_download = True  # to count tokens
        litellm.disable_streaming_logging = True
        self._litellm: Any = litellm
        self._pdfs = Pdfs()
        self._noted: set[str] = set()
        self._embeddings = Embeddings(litellm)
        self._ways: Mapping[Api, Way] = {"chat": Chat(litellm), "responses": Responses(litellm)}

    async def adapted(self, question: Question, *, documents: bool = True) -> Adapted:
        found = self._traits(question)
        found = replace(found, documents=found.documents and documents)
        pdfs = await self._pdfs.read(pdfs_in(question.body, fetched=found.documents))
        try:
            adapted = adapt(question.body, found, pdfs)
        except UnsupportedError as e:
            raise ProviderError(400, f"{question.entry}: {e}", mendable=True) from e
        for note in adapted.notes:
            self._log_once(f"{question.entry}: {note}")
        return adapted

    def _log_once(self, note: str) -> None:
        if note not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add(note)
            logger.warning("%s", redact(note))

    async def ask(self, question: Question, request: Json) -> Json:
        """Ask for a stream: only its end tells whole from cut, and no network drops it while a model thinks."""
        events: list[Json] = []
        try:
            async for event in self.stream(question, {**request, "stream": True}):
                events.append(event)
        except ProviderError as e:
            begun = any(event["type"] == "content_block_start" for event in events)
            if begun and e.status < 500 and e.status != 429:  # the request is not at fault
                raise replace(e, status=502, mendable=False, kind=None) from e
            raise
        message = message_of(events)
        if message is None:
            raise ProviderError(502, f"{question.entry} broke off")
        return message

    async def stream(self, question: Question, request: Json) -> AsyncIterator[Json]:
        way = self._way(question)
        answer = await self._call(way, question, request)
        pieces, events = way.pieces(answer), way.events(request, self._traits(question))
        stops = StopSequences(self._stops(question, request))
        try:
            async for piece in pieces:
                for event in stops.through(events.feed(piece)):
                    yield _unless_error(question.entry, event)
            for event in stops.through(events.end()):
                yield _unless_error(question.entry, event)
        except Exception as e:
            raise _provider_error(question.entry, e) from e
        finally:
            await pieces.aclose()

    def count(self, question: Question) -> int:
        words = words_of(question.body)
        return int(self._litellm.token_counter(model=question.litellm_name, text=words))

    async def embed(self, question: Question, request: EmbeddingsRequest) -> bytes:
        access = question.access
        try:
            return await self._embeddings.ask(question.provider, question.model, access, request)
        except Exception as e:
            raise _provider_error(question.entry, e) from e

    def _stops(self, question: Question, request: Json) -> list[Any]:
        """Return the stop sequences that the model does not take."""
        wanted = [] if self._traits(question).stops else request.get("stop_sequences")
        return wanted if isinstance(wanted, list) else []

    def _way(self, question: Question) -> Way:
        return self._ways[self._traits(question).api]

    async def _call(self, way: Way, question: Question, request: Json) -> Any:
        try:
            return await way.call(
                **way.arguments(request, self._traits(question)),
                model=self._name(question),
                api_key=question.access.api_key,
                api_base=question.access.base_url,
                num_retries=0,
                max_retries=0,
            )
        except Exception as e:
            raise _provider_error(question.entry, e) from e

    def _name(self, question: Question) -> str:
        """Return LiteLLM's name for the model.

        `custom_openai/` keeps parameters that only OpenAI's models take from models of other servers.
        """
        own = (
            question.provider == OPENAI
            and self._traits(question).api == "chat"
            and not self._model_info(question.litellm_name)
        )
        return f"custom_openai/{question.model}" if own else question.litellm_name

    def _traits(self, question: Question) -> Traits:
        return traits(
            question.provider,
            question.model,
            api=question.access.api,
            own_server=bool(question.access.base_url),
            info=self._model_info(question.litellm_name),
        )

    def _model_info(self, name: str) -> Mapping[str, Any]:
        """Return LiteLLM's entry for the model; empty for an unknown one."""
        if name.startswith("ollama"):
            return {}  # LiteLLM would ask the server, and block
        try:
            return dict(self._litellm.get_model_info(name))
        except Exception:
            return {}


def _unless_error(entry: str, event: Json) -> Json:
    """Return the event, or the message. Raises `ProviderError` for one that tells of a failure (`chat.ends`)."""
    if event.get("type") != "error":
        return event
    error = event.get("error")
    logger.warning("%s: %s", entry, redact(str(error))[:2000])
    raise provider_error(entry, event.get("status"), json.dumps({"error": error}))


def _provider_error(entry: str, error: Exception) -> ProviderError:
    if isinstance(error, ProviderError):  # an error event, which was read already
        return error
    text = str(error)
    logger.warning("%s: %s: %s", entry, type(error).__name__, redact(text)[:2000])
    status = getattr(error, "status_code", None)
    headers: Any = next(filter(None, _headers(error)), {})
    after = headers.get("retry-after") if hasattr(headers, "get") else None
    return provider_error(entry, status if isinstance(status, int) else None, text, after)


def _headers(error: Exception) -> Iterator[Any]:
    """Yield the places in which LiteLLM and its libraries keep a response's headers."""
    yield getattr(error, "litellm_response_headers", None)
    yield getattr(error, "headers", None)
    yield getattr(getattr(error, "response", None), "headers", None)
