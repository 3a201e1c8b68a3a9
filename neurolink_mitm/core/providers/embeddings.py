"""Routes a request for embeddings to the one provider that it is for. Anthropic has none.

Vectors of two models have nothing in common, so there is no fallback: an index would be filled with both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.pool.accounts import ANTHROPIC, Account
from neurolink_mitm.core.providers import catalog
from neurolink_mitm.core.providers.destinations import Route, is_wildcard, key, mapping_of
from neurolink_mitm.core.providers.embedding_batches import BATCHES
from neurolink_mitm.core.providers.names import canonical
from neurolink_mitm.core.settings.values import Routing

FAMILIES = {
    "text-embedding-0": "google-ai", "text-multilingual-": "vertex", "gemini-": "google-ai", "mistral-": "mistral",
    "codestral-": "mistral", "voyage-": "voyage", "embed-": "cohere", "jina-": "jina_ai", "amazon.": "bedrock",
    "cohere.": "bedrock", "nomic-": "ollama", "mxbai-": "ollama", "bge-": "ollama", "all-minilm": "ollama",
    "snowflake-": "ollama", "qwen3-": "ollama", "embeddinggemma": "ollama",
}  # fmt: skip
"""Whose model a name probably is, by its beginning; else it is OpenAI's."""
USUAL = "text-embedding-3-small"
NO_EMBEDDINGS = "Anthropic has no embeddings"


def any_of(provider: str) -> str:
    """Return the key of the entry for all embeddings of `provider`."""
    return key(provider, "*")


def embeddings_route(
    model: str,
    routing: Routing,
    fallbacks: Iterable[Account],
    missing: Callable[[str], str | None] = lambda provider: None,
) -> Route:
    """Return the route of a request for embeddings. Raises `RequestError` where nothing serves it.

    The first that matches: a mapping of the exact name to another provider, `provider/model`, a mapping with a
    wildcard. `fallbacks` are the entries of other providers; `missing` tells why a provider without one can't be asked.
    """
    mappings = [each for each in routing.model_mappings if each.provider != ANTHROPIC]
    exact = next((each for each in mappings if each.from_ == model), None)
    named = None if exact else _named(model)
    if named:
        return _by_name(model, *named, {each.key for each in fallbacks}, missing)
    mapping = exact or mapping_of(model, mappings)
    if mapping is None:
        raise not_served(model, missing)
    if mapping.provider not in BATCHES:
        raise _refusal(model, f"{mapping.provider}, which it is mapped to, has no embeddings")
    entry = key(mapping.provider, mapping.to)
    return Route(f"model-mappings: {mapping.from_}", mapping.to, pool=False, entries=(entry,))


def _named(model: str) -> tuple[str, str] | None:
    """Return provider and model of `provider/model`; None where the first part is no provider's name."""
    first, slash, rest = model.partition("/")
    provider = canonical(first)
    is_provider = provider in BATCHES or provider in catalog.PROVIDERS or provider == ANTHROPIC
    return (provider, rest) if slash and rest and is_provider else None


def _by_name(
    model: str,
    provider: str,
    rest: str,
    entries: set[str],
    missing: Callable[[str], str | None],
) -> Route:
    if provider not in BATCHES:
        owner = "Anthropic" if provider == ANTHROPIC else provider
        raise _refusal(model, f"{owner} has no embeddings")
    if is_wildcard(rest):
        raise _refusal(model, "a pattern is no model")
    entry = next((each for each in (key(provider, rest), any_of(provider)) if each in entries), "")
    if not entry:
        why = missing(provider) or f"name it under providers in proxy-config.yaml: {provider}: {{}}"
        raise _refusal(model, f"{provider} can't be asked: {why}")
    return Route(f"{provider}/…", rest, pool=False, entries=(entry,))


def not_served(model: str, missing: Callable[[str], str | None]) -> RequestError:
    """Return the 404 for a model of which nobody knows whose it is; it shows the mapping to write."""
    plain = len(model) <= 100 and not model.startswith("claude-") and not is_wildcard(model)
    to = model if plain else USUAL
    begins = (name for start, name in FAMILIES.items() if to.lower().startswith(start))
    provider = next(begins, "openai")
    mapping = f"{{from: {model:.100}, to: {to}, provider: {provider}}}"
    text = (
        f"{NO_EMBEDDINGS}, and no provider is named for this model. Ask for {key(provider, to)}, or map it in"
        f" proxy-config.yaml: routing: {{model-mappings: [{mapping}]}}"
    )
    why = missing(provider)
    return _refusal(model, f"{text}. {provider} needs a key as well: {why}" if why else text)


def _refusal(model: str, why: str) -> RequestError:
    return RequestError(f"model: {model!r:.120}: {why}", "model", "model_not_found", 404)
