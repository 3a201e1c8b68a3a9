"""Asks providers through LiteLLM: the only module that imports it."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.providers import catalog
from neurolink_mitm.core.providers.adapt import Adapted, UnsupportedError, adapt, words_of
from neurolink_mitm.core.providers.errors import ProviderError, provider_error
from neurolink_mitm.core.providers.pdf import pdfs_in
from neurolink_mitm.core.providers.traits import Traits, traits
from neurolink_mitm.core.providers.translator import Access
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.response.sse import SseReader
from neurolink_mitm.translator.calls import one_by_one
from neurolink_mitm.translator.pdf import Pdfs

logger = logging.getLogger("neurolink.translator")

Json = dict[str, Any]
OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class Question:
    """A request in Anthropic's form, and the provider and model that it is for."""

    provider: str
    model: str
    access: Access
    body: Json

    @property
    def litellm_name(self) -> str:
        """Return the model's name in LiteLLM."""
        return catalog.litellm_name(self.provider, self.model)


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


class LiteLlm:
    """The engine that uses LiteLLM. Creating it takes seconds."""

    def __init__(self) -> None:
        # else LiteLLM downloads prices, and reads the .env of the current directory
        os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_MODE="PRODUCTION")
        import litellm

        litellm.suppress_debug_info = True
        litellm.drop_params = True  # leave out what a model can't take, instead of failing
        litellm.telemetry = False
        # else it downloads a tokenizer to count the tokens of a stream that has no usage
        litellm.disable_hf_tokenizer_download = True
        self._litellm: Any = litellm
        self._pdfs = Pdfs()
        _call_one_by_one()

    async def adapted(self, question: Question, *, documents: bool = True) -> Adapted:
        found = self._traits(question)
        found = replace(found, documents=found.documents and documents)
        pdfs = await self._pdfs.read(pdfs_in(question.body, fetched=found.documents))
        try:
            return adapt(question.body, found, pdfs)
        except UnsupportedError as e:
            message = f"{question.provider}/{question.model}: {e}"
            raise ProviderError(400, message, mendable=True) from e

    async def ask(self, question: Question, request: Json) -> Json:
        return dict(await self._call(question, request))

    async def stream(self, question: Question, request: Json) -> AsyncIterator[Json]:
        chunks = await self._call(question, request)
        reader = SseReader()
        try:
            async for chunk in chunks:
                if isinstance(chunk, dict):
                    yield chunk
                    continue
                data = chunk if isinstance(chunk, bytes) else str(chunk).encode()
                for event in reader.feed(data):
                    yield _decoded(event.data)
        except Exception as e:
            raise _provider_error(question.provider, e) from e
        finally:
            if close := getattr(chunks, "aclose", None):
                await close()

    def count(self, question: Question) -> int:
        words = words_of(question.body)
        return int(self._litellm.token_counter(model=question.litellm_name, text=words))

    async def _call(self, question: Question, request: Json) -> Any:
        if question.provider == OPENAI:
            by_chat = self._traits(question).api == "chat"
            self._litellm.use_chat_completions_url_for_anthropic_messages = by_chat
        try:
            return await self._litellm.anthropic.messages.acreate(
                **request,
                model=self._name(question),
                api_key=question.access.api_key,
                api_base=question.access.base_url,
                num_retries=0,
                max_retries=0,
            )
        except Exception as e:
            raise _provider_error(question.provider, e) from e

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


def _call_one_by_one() -> None:
    """Make LiteLLM pass the chunks of providers through `one_by_one` before it writes Anthropic's events."""
    from litellm.llms.anthropic.experimental_pass_through.adapters import streaming_iterator

    splitter: Any = streaming_iterator._CombinedChunkSplitter
    begin = splitter.__init__

    def begin_in_order(self: Any, chunks: Any) -> None:
        begin(self, one_by_one(chunks))

    splitter.__init__ = begin_in_order


def _provider_error(provider: str, error: Exception) -> ProviderError:
    text = str(error)
    logger.warning("%s: %s: %s", provider, type(error).__name__, redact(text)[:2000])
    first = getattr(error, "original_exception", None)  # of an error within a stream
    candidates = (getattr(each, "litellm_response_headers", None) for each in (error, first))
    headers: Any = next((each for each in candidates if each), {})
    status = getattr(error, "status_code", None)
    after = headers.get("retry-after") if hasattr(headers, "get") else None
    return provider_error(provider, status if isinstance(status, int) else None, text, after)


def _decoded(data: bytes) -> Json:
    try:
        return msgspec.json.decode(data, type=Json)
    except UNREADABLE:
        return {}
