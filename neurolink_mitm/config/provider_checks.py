"""What is wrong with the providers, models and addresses that a configuration names: faults, and warnings.

A fault is what can't work at all; a warning is what hardly works as its author meant it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from neurolink_mitm.core.pool.accounts import ANTHROPIC
from neurolink_mitm.core.providers.catalog import (
    WITHOUT_KEYS,
    credential_places,
    provider_info,
)
from neurolink_mitm.core.providers.embedding_batches import BATCHES
from neurolink_mitm.core.providers.names import canonical, own_prefix, unknown_provider
from neurolink_mitm.core.settings.errors import (
    ConfigFault,
    Loc,
    format_value,
    path,
    spelled,
    spellings,
    value_at,
)
from neurolink_mitm.core.settings.values import Config, ModelMapping

CLAUDE = "claude-"
FAMILIES = {
    "gpt-": "openai", "o1": "openai", "o3": "openai", "o4": "openai", "chatgpt-": "openai", "codex-": "openai",
    "gemini-": "google-ai", "kimi-": "moonshot", "moonshot-": "moonshot", "grok-": "xai", "minimax-": "minimax",
    "deepseek-": "deepseek", "mistral-": "mistral", "codestral-": "mistral", "magistral-": "mistral",
    "devstral-": "mistral", "qwen": "ollama", "llama": "ollama", "gemma": "ollama",
}  # fmt: skip
"""Whose model a name probably is, by its beginning."""
ADDED = (
    "/chat/completions", "/completions", "/responses", "/embeddings", "/models", "/api/chat", "/api/generate",
)  # fmt: skip
"""Ends of addresses that LiteLLM adds itself."""
OPENAI_LIKE = frozenset({
    "openai", "mistral", "groq", "moonshot", "xai", "minimax", "openrouter", "lm_studio", "hosted_vllm",
})  # fmt: skip
"""Providers whose `baseUrl` has a path, `/v1` nearly always."""


def provider_faults(document: object) -> Iterator[ConfigFault]:
    """Yield the faults of a document whose `${VAR}` are resolved, and which may have other faults too."""
    first: dict[str, Loc] = {}
    own_servers = set()
    for name, loc, key, chat in _named(document):
        if key and value_at(document, _address(document, loc)):
            own_servers.add(canonical(name))
        if fault := unknown_provider(name, embeddings=not chat and canonical(name) in BATCHES):
            yield ConfigFault(loc, fault)
        elif key and first.setdefault(canonical(name), loc) != loc:
            yield ConfigFault(
                loc, f"is the same provider as {path(first[canonical(name)])}: leave one"
            )
    for provider, model, loc in _models(document):
        prefix = own_prefix(canonical(provider), model)
        if prefix and canonical(provider) not in own_servers:  # which name models as they like
            yield ConfigFault(
                loc, f"is without {format_value(prefix)}, as its provider is named beside it"
            )
        elif "*" in model:
            yield ConfigFault(loc, f"is one model's name, no pattern, got {format_value(model)}")


def _named(document: object) -> Iterator[tuple[str, Loc, bool, bool]]:
    """Yield each name of another provider, its place, whether it is a key of `providers`, and whether it must chat."""
    providers = value_at(document, ("providers",))
    for name in providers if isinstance(providers, dict) else ():
        yield name, ("providers", name), True, False
    for entry, loc in _entries(document, "fallback_chain"):
        name = value_at(entry, ("provider",))
        if isinstance(name, str) and name:
            yield name, (*loc, "provider"), False, True
    for entry, loc in _entries(document, "model_mappings"):
        name = value_at(entry, ("provider",))
        if isinstance(name, str) and name not in ("", ANTHROPIC):
            yield name, (*loc, "provider"), False, False


def _models(document: object) -> Iterator[tuple[str, str, Loc]]:
    """Yield provider, model and place of each model of another provider."""
    for field, key in (("fallback_chain", "model"), ("model_mappings", "to")):
        for entry, loc in _entries(document, field):
            provider, model = value_at(entry, ("provider",)), value_at(entry, (key,))
            if isinstance(provider, str) and provider != ANTHROPIC and isinstance(model, str):
                yield provider, model, (*loc, key)


def _entries(document: object, field: str) -> Iterator[tuple[object, Loc]]:
    loc = spelled(document, "routing", field)
    entries = value_at(document, loc) if len(loc) == 2 else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        yield entry, (*loc, index)


def with_canonical_names(config: Config) -> Config:
    """Return the configuration with the one name of each provider."""
    routing = config.routing
    return replace(
        config,
        providers={canonical(name): each for name, each in config.providers.items()},
        routing=replace(
            routing,
            model_mappings=tuple(
                replace(each, provider=canonical(each.provider)) for each in routing.model_mappings
            ),
            fallback_chain=tuple(
                replace(each, provider=canonical(each.provider)) for each in routing.fallback_chain
            ),
        ),
    )


def provider_warnings(config: Config, document: object) -> Iterator[ConfigFault]:
    """Yield the warnings of a configuration without faults, with canonical names."""
    yield from _mappings(config, spelled(document, "routing", "model_mappings"))
    yield from _chain(config, spelled(document, "routing", "fallback_chain"))
    yield from _passthrough(config, spelled(document, "routing", "passthrough_models"))
    yield from _providers(config, document)


def _mappings(config: Config, at: Loc) -> Iterator[ConfigFault]:
    mappings = config.routing.model_mappings
    for index, mapping in enumerate(mappings):
        loc, before = (*at, index), mappings[:index]
        if mapping.provider == ANTHROPIC and not mapping.to.startswith(CLAUDE):
            yield ConfigFault((*loc, "to"), _without_provider(mapping.to))
        if (
            hidden := next((i for i, each in enumerate(before) if _hides(each, mapping)), None)
        ) is not None:
            yield ConfigFault(
                (*loc, "from"), f"is never reached, as {path((*at, hidden))} takes all of it"
            )
        elif _changes_nothing(mapping, mappings):
            yield ConfigFault(loc, "changes nothing: it maps a model to itself")


def _without_provider(model: str) -> str:
    first, slash, rest = model.partition("/")
    if slash and not unknown_provider(first):
        proposed = f"provider: {canonical(first)}, to: {rest}"
    else:
        families = (name for start, name in FAMILIES.items() if model.lower().startswith(start))
        proposed = f"provider: {next(families, '…')}"
    return f"{format_value(model)} without a provider is asked of Anthropic: add `{proposed}`"


def _hides(earlier: ModelMapping, later: ModelMapping) -> bool:
    """Return whether `earlier` takes every model of `later`; exact names go before wildcards."""
    if earlier.from_ == later.from_:
        return True
    wild = "*" in earlier.from_ and "*" in later.from_
    brackets = "[" in earlier.from_ + later.from_
    return wild and not brackets and fnmatchcase(later.from_, earlier.from_)


def _changes_nothing(mapping: ModelMapping, mappings: tuple[ModelMapping, ...]) -> bool:
    """Return whether a mapping to itself isn't there to keep its model from a wildcard's mapping."""
    if mapping.provider != ANTHROPIC or mapping.from_ != mapping.to:
        return False
    rest = (each for each in mappings if each is not mapping)
    return not any(fnmatchcase(mapping.to, each.from_) for each in rest)


def _chain(config: Config, at: Loc) -> Iterator[ConfigFault]:
    chain = config.routing.fallback_chain
    for index, entry in enumerate(chain):
        if (first := chain.index(entry)) < index:
            yield ConfigFault(
                (*at, index), f"is {path((*at, first))} once more: it is asked only once"
            )
        elif config.routing.pay_per_use == "never" and not provider_info(entry.provider).free:
            yield ConfigFault((*at, index), "is never asked, as routing.pay-per-use is never")


def _passthrough(config: Config, at: Loc) -> Iterator[ConfigFault]:
    for index, model in enumerate(config.routing.passthrough_models):
        taking = (each for each in config.routing.model_mappings if fnmatchcase(model, each.from_))
        if mapping := next(taking, None):
            yield ConfigFault(
                (*at, index),
                f"is never reached, as the model mapping from {format_value(mapping.from_)} takes it",
            )


def _providers(config: Config, document: object) -> Iterator[ConfigFault]:
    for written in _keys(document, ("providers",)):
        name, settings = canonical(written), config.providers.get(canonical(written))
        if settings is None:
            continue
        loc = ("providers", written)
        if settings.api and name != "openai":
            yield ConfigFault((*loc, "api"), "is of openai alone, and not looked at here")
        if settings.api_key and name in WITHOUT_KEYS:
            places = credential_places(name)
            yield ConfigFault(loc, f"takes no apiKey: its credentials come from {places}")
        if settings.base_url and (advice := address_advice(name, settings.base_url)):
            yield ConfigFault(_address(document, loc), advice)


def _address(document: object, loc: Loc) -> Loc:
    """Return the place of a provider's `baseUrl`, in the spelling of the file."""
    camel, hyphened = ((*loc, key) for key in spellings("base_url"))
    return hyphened if value_at(document, camel) is None else camel


def _keys(document: object, loc: Loc) -> tuple[str, ...]:
    value = value_at(document, loc)
    return tuple(key for key in value if isinstance(key, str)) if isinstance(value, Mapping) else ()


def address_advice(provider: str, url: str) -> str | None:
    """Return why `url` is hardly the form of `baseUrl` that LiteLLM wants for `provider`; None if it is."""
    at = urlsplit(url).path.rstrip("/")
    example = provider_info(provider).example
    if added := next((end for end in ADDED if at.endswith(end)), None):
        return f'ends with "{added}", which is added to it: leave that out'
    if provider == "ollama" and at.endswith(("/v1", "/api")):
        return f"is without a path for ollama: {example}"
    if provider == "azure" and "/openai" in at:
        return f"is without a path for azure: {example}"
    if provider == "google-ai" and not at.endswith(("/v1beta", "/v1", "/v1alpha")):
        return 'lacks "/v1beta" at its end'
    if provider in OPENAI_LIKE and not at:
        return 'has no path: such servers want "/v1" at its end'
    return None
