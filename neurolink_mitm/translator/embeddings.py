"""Asks providers for embeddings: in lists that they take, and in the form that OpenAI's clients read."""

from __future__ import annotations

import asyncio
import base64
import re
from array import array
from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec

from neurolink_mitm.core.openai.embeddings import (
    EmbeddingsRequest,
    Inputs,
    answer_body,
    vector_items,
)
from neurolink_mitm.core.providers.catalog import litellm_name
from neurolink_mitm.core.providers.embedding_batches import Batch, batch_of, batches
from neurolink_mitm.core.providers.errors import ProviderError
from neurolink_mitm.core.providers.translator import Access

TOGETHER = 4
"""Requests for one list that are sent at the same time."""
TOKENIZER = "cl100k_base"
"""Of OpenAI's models for embeddings: LangChain takes it for any model's. https://github.com/openai/tiktoken"""
WITH_USER = frozenset({"openai", "azure"})
"""Providers that take `user`."""
ASKED_FOR_FLOATS = frozenset({"openai", "azure", "hosted_vllm", "lm_studio"})
"""Providers that OpenAI's SDK asks for base64, if nothing else is said; not all their servers know that."""
_NO_EMBEDDINGS = re.compile(
    r"generate embeddings from this model|not support (?:generating )?embed|not an embedding", re.I
)

Json = dict[str, Any]


class Embeddings:
    """Asks through `litellm.aembedding`."""

    def __init__(self, litellm: Any) -> None:
        self._litellm = litellm

    async def ask(
        self, provider: str, model: str, access: Access, request: EmbeddingsRequest
    ) -> bytes:
        """Return the body of an answer. Raises `ProviderError` and what LiteLLM raises."""
        at_most = batch_of(provider, model)
        inputs = self._inputs(request, at_most)
        options = _options(provider, model, access, request)
        parts, tokens, first = [], 0, 0
        lists = iter(list(batches(inputs, at_most)))
        while window := list(islice(lists, TOGETHER)):
            for each, answer in zip(window, await self._answers(window, options), strict=True):
                vectors = _vectors(f"{provider}/{model}", answer, len(each), request.dimensions)
                items = vector_items(vectors, first, request.encoding)
                parts.append(msgspec.json.encode(items)[1:-1])
                tokens += _tokens(answer) or self._estimate(each)
                first += len(each)
        return answer_body(model, tokens, parts)

    async def _answers(self, window: Sequence[Inputs], options: Json) -> list[Json]:
        asking = [self._litellm.aembedding(input=each, **options) for each in window]
        return [_plain(answer) for answer in await asyncio.gather(*asking)]

    def _inputs(self, request: EmbeddingsRequest, at_most: Batch) -> Inputs:
        """Return the inputs, with texts for token ids where the provider takes none. Raises `ProviderError`."""
        if not request.tokens or at_most.token_ids:
            return request.inputs
        import tiktoken

        try:
            tokenizer = tiktoken.get_encoding(TOKENIZER)
            return [tokenizer.decode(each) for each in request.inputs if isinstance(each, list)]
        except (KeyError, OverflowError, ValueError) as e:
            raise ProviderError(400, f"input: no token ids of {TOKENIZER}", mendable=True) from e

    def _estimate(self, inputs: Inputs) -> int:
        """Count the tokens that a provider does not count."""
        texts = [each for each in inputs if isinstance(each, str)]
        if len(texts) < len(inputs):
            return sum(len(each) for each in inputs)
        return sum(int(self._litellm.token_counter(text=each)) for each in texts)


def _options(provider: str, model: str, access: Access, request: EmbeddingsRequest) -> Json:
    """Return what LiteLLM is called with beside the inputs."""
    # `ollama_chat` is LiteLLM's name for its messages only
    name = f"ollama/{model}" if provider == "ollama" else litellm_name(provider, model)
    options: Json = {
        "model": name,
        "api_key": access.api_key,
        "api_base": access.base_url,
        "num_retries": 0,
        "max_retries": 0,
        "encoding_format": "float" if provider in ASKED_FOR_FLOATS else None,
        "user": request.user if provider in WITH_USER else None,
    }
    if request.dimensions is not None:
        # else LiteLLM leaves it out for models of OpenAI's form that it does not know
        allowed = ["dimensions"] if provider in ASKED_FOR_FLOATS else None
        options |= {"dimensions": request.dimensions, "allowed_openai_params": allowed}
    return {name: value for name, value in options.items() if value is not None}


def _vectors(
    entry: str, answer: Json, count: int, dimensions: int | None
) -> Sequence[Sequence[float]]:
    """Return the vectors of an answer in the order of its inputs. Raises `ProviderError`."""
    items = sorted(answer.get("data") or (), key=lambda item: item.get("index") or 0)
    vectors = [_vector(item.get("embedding")) for item in items]
    if len(vectors) != count or not all(vectors):
        raise ProviderError(502, f"{entry} gave {len(vectors)} embeddings for {count} inputs")
    length = len(vectors[0])
    if dimensions not in (None, length):
        text = f"dimensions: {entry} gives vectors of {length} dimensions, not of {dimensions}"
        raise ProviderError(400, text, mendable=True)
    return vectors


def _vector(embedding: Any) -> Sequence[float]:
    """Return the numbers of a vector; none of what is of an unknown form."""
    if isinstance(embedding, str):  # base64, though nobody has asked for it
        return array("f", base64.b64decode(embedding)).tolist()
    numbers = isinstance(embedding, list) and all(isinstance(n, int | float) for n in embedding)
    return embedding if numbers else ()


def _tokens(answer: Json) -> int:
    usage = answer.get("usage") or {}
    return int(usage.get("prompt_tokens") or usage.get("total_tokens") or 0)


def _plain(answer: Any) -> Json:
    """Return LiteLLM's answer as a dict."""
    data = [each if isinstance(each, dict) else each.model_dump() for each in answer.data or ()]
    usage = answer.usage
    return {"data": data, "usage": usage.model_dump() if usage else {}}


def refused_model(error: ProviderError) -> ProviderError:
    """Return the error with the status 404 where the model is unknown, or has no embeddings.

    For messages that is a 400, for Claude Code, and the entry is not asked for a while. Here the entry may be for any
    model, and the name is the client's.
    """
    message = error.message
    if _NO_EMBEDDINGS.search(message):
        message = f"{message.partition(' ')[0]} has no embeddings"
    elif error.error_type != "not_found_error":
        return error
    return ProviderError(404, f"model: {message}", kind="not_found_error")
