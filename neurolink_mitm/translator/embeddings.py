"""Asks providers for embeddings: in lists that they take, and in the form that OpenAI's clients read."""

from __future__ import annotations

import asyncio
import re
import warnings
from itertools import islice
from typing import Any

import msgspec

from neurolink_mitm.core.openai.embeddings import (
    EmbeddingsRequest,
    Inputs,
    answer_body,
    packed,
    vector_items,
)
from neurolink_mitm.core.providers.catalog import litellm_name
from neurolink_mitm.core.providers.embedding_batches import (
    Batch,
    batch_of,
    batches,
    estimated_tokens,
)
from neurolink_mitm.core.providers.errors import ProviderError
from neurolink_mitm.core.providers.translator import Access

TOGETHER = 4
"""Requests for one list that are sent at the same time."""
TOKENIZER = "cl100k_base"
"""Of OpenAI's models for embeddings: LangChain takes it for any model's. https://github.com/openai/tiktoken"""
WITH_USER = frozenset({"openai", "azure"})
"""Providers that take `user`."""
OPENAI_LIKE = frozenset({"openai", "azure", "hosted_vllm", "lm_studio"})
"""Providers that are asked as OpenAI is, by its SDK: for base64. To read a list of 1,536 numbers takes it 5 ms."""
GOOGLES = frozenset({"google-ai", "vertex"})
REFERENCES = ("files/", "gs://", "data:")
_NO_EMBEDDINGS = re.compile(
    r"generate embeddings from this model|not support (?:generating )?embed|not an embedding", re.I
)
_NO_BASE64 = re.compile(r"encoding_?format|base64", re.I)
_MENDABLE = (400, 422)

Json = dict[str, Any]
Vector = list[float] | str
"""Numbers, or 32-bit floats in base64."""


class Embeddings:
    """Asks through `litellm.aembedding`."""

    def __init__(self, litellm: Any) -> None:
        self._litellm = litellm
        self._without_base64: set[tuple[str, str | None]] = set()
        """Providers and addresses of servers that don't know it."""
        # LiteLLM writes base64 where a list of numbers is expected
        warnings.filterwarnings("ignore", message="Pydantic serializer warnings")

    async def ask(
        self, provider: str, model: str, access: Access, request: EmbeddingsRequest
    ) -> bytes:
        """Return the body of an answer. Raises `ProviderError` and what LiteLLM raises."""
        at_most = batch_of(provider, model)
        inputs = _as_text(provider, self._inputs(request, at_most))
        options = _options(provider, model, access, request)
        parts, tokens, first = [], 0, 0
        lists = batches(inputs, at_most)
        while window := list(islice(lists, TOGETHER)):
            asking = (self._asked(provider, each, options) for each in window)
            for each, answer in zip(window, await asyncio.gather(*asking), strict=True):
                vectors = _vectors(f"{provider}/{model}", answer, len(each), request.dimensions)
                items = vector_items(vectors, first, request.encoding)
                parts.append(msgspec.json.encode(items)[1:-1])
                tokens += _tokens(answer) or estimated_tokens(each)
                first += len(each)
        return answer_body(model, tokens, parts)

    async def _asked(self, provider: str, inputs: Inputs, options: Json) -> Any:
        """Ask for base64 where it is known, and once more for numbers where it turns out that it is not."""
        server = provider, options.get("api_base")
        if provider not in OPENAI_LIKE:
            return await self._litellm.aembedding(input=inputs, **options)
        form = "float" if server in self._without_base64 else "base64"
        try:
            return await self._litellm.aembedding(input=inputs, encoding_format=form, **options)
        except Exception as e:
            refused = getattr(e, "status_code", None) in _MENDABLE and _NO_BASE64.search(str(e))
            if form == "float" or not refused:
                raise
        self._without_base64.add(server)
        return await self._litellm.aembedding(input=inputs, encoding_format="float", **options)

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


def _as_text(provider: str, inputs: Inputs) -> Inputs:
    """Return inputs that LiteLLM takes for texts.

    For Gemini it takes one that begins like a reference for a file or a picture, fetches that, and makes a single
    vector of the whole list (llms/vertex_ai/gemini_embeddings). A space before it changes the vector hardly.
    """
    if provider not in GOOGLES:
        return inputs
    return [f" {each}" if str(each).startswith(REFERENCES) else str(each) for each in inputs]


def _options(provider: str, model: str, access: Access, request: EmbeddingsRequest) -> Json:
    """Return what LiteLLM is called with beside the inputs and their form."""
    # `ollama_chat` is LiteLLM's name for its messages only
    name = f"ollama/{model}" if provider == "ollama" else litellm_name(provider, model)
    options: Json = {
        "model": name,
        "api_key": access.api_key,
        "api_base": access.base_url,
        "num_retries": 0,
        "max_retries": 0,
        "user": request.user if provider in WITH_USER else None,
        "dimensions": request.dimensions,
    }
    if request.dimensions is not None and provider in OPENAI_LIKE:
        # else LiteLLM leaves it out for models that it does not know
        options["allowed_openai_params"] = ["dimensions"]
    return {name: value for name, value in options.items() if value is not None}


def _vectors(entry: str, answer: Any, count: int, dimensions: int | None) -> list[Vector]:
    """Return the vectors of an answer in the order of its inputs. Raises `ProviderError`."""
    items = [each if isinstance(each, dict) else vars(each) for each in answer.data or ()]
    items.sort(key=lambda item: item.get("index") or 0)
    vectors: list[Vector] = [item.get("embedding") or "" for item in items]
    lengths = {_length(vector) for vector in vectors}
    if len(vectors) != count or len(lengths) != 1 or 0 in lengths:
        raise ProviderError(502, f"{entry} gave no {count} vectors of one length")
    length = lengths.pop()
    if dimensions not in (None, length):
        text = f"dimensions: {entry} gives vectors of {length} dimensions, not of {dimensions}"
        raise ProviderError(400, text, mendable=True)
    return vectors


def _length(vector: Vector) -> int:
    """Return how many numbers a vector has; 0 for what is none."""
    try:
        return len(packed(vector)) // 4
    except (TypeError, ValueError, OverflowError):
        return 0


def _tokens(answer: Any) -> int:
    usage = answer.usage
    return int((usage and (usage.prompt_tokens or usage.total_tokens)) or 0)


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
