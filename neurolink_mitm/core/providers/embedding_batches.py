"""Which providers have embeddings, and how many inputs each takes in one request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from neurolink_mitm.core.openai.embeddings import Inputs

BYTES_PER_TOKEN = 3
"""Of text, at least: English has four, Chinese three."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a provider takes in one request."""

    inputs: int = 256
    tokens: int = 200_000
    token_ids: bool = False
    """It takes token ids in place of texts."""


BATCHES: Mapping[str, Batch] = {
    # https://platform.openai.com/docs/api-reference/embeddings: 300,000 tokens
    "openai": Batch(token_ids=True),
    "azure": Batch(token_ids=True),
    "hosted_vllm": Batch(token_ids=True),
    # https://ai.google.dev/api/embeddings#method:-models.batchembedcontents: 100 requests
    "google-ai": Batch(100),
    # https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings: 250 texts, 20,000 tokens
    "vertex": Batch(250, 18_000),
    # https://docs.cohere.com/reference/embed: 96 texts
    "cohere": Batch(96),
    "azure_ai": Batch(96),
    "bedrock": Batch(96),
    # https://docs.mistral.ai/capabilities/embeddings: 16,384 tokens
    "mistral": Batch(tokens=14_000),
    # https://docs.voyageai.com/reference/embeddings-api: 1,000 texts, 120,000 tokens of the large models
    "voyage": Batch(tokens=100_000),
    **dict.fromkeys(
        ("ollama", "lm_studio", "openrouter", "jina_ai", "together_ai", "fireworks_ai", "nebius", "nvidia_nim",
         "perplexity", "sambanova", "huggingface", "databricks", "infinity", "xinference", "llamafile", "watsonx",
         "sagemaker", "triton", "snowflake", "volcengine", "gigachat", "dashscope", "ovhcloud", "cometapi",
         "vercel_ai_gateway", "github_copilot", "oci", "sap", "wandb", "openai_like", "litellm_proxy"),
        Batch(),
    ),
}  # fmt: skip
"""By provider: all that LiteLLM 1.101.6 asks for embeddings."""


def batch_of(provider: str, model: str) -> Batch:
    """Return what a provider takes in one request for a model."""
    if provider == "vertex" and model.startswith("gemini-embedding"):
        return Batch(1)  # "gemini-embedding-001 supports one instance per request"
    return BATCHES.get(provider, Batch())


def batches(inputs: Inputs, at_most: Batch) -> Iterator[Inputs]:
    """Yield the inputs in lists that a provider takes; an input that is too long by itself is left to the provider."""
    first, tokens = 0, 0
    sizes = map(_tokens, inputs)
    for index, size in enumerate(sizes):
        full = index - first >= at_most.inputs or tokens + size > at_most.tokens
        if index > first and full:
            yield inputs[first:index]
            first, tokens = index, 0
        tokens += size
    yield inputs[first:]


def estimated_tokens(inputs: Inputs) -> int:
    """Return about how many tokens the inputs have, where a provider does not count them."""
    return sum(max(1, _tokens(each)) for each in inputs)


def _tokens(each: str | list[int]) -> int:
    if isinstance(each, str):
        return len(each.encode("utf-8", "replace")) // BYTES_PER_TOKEN
    return len(each)
