"""Routes a model to the pool of accounts and to models of other providers.

Each model of another provider is an entry of the pool's second list: an `Account` of type `provider` with its own
state. An entry without a key is listed as well, so that `status` can say why it is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from neurolink_mitm.core.pool.accounts import ANTHROPIC, Account
from neurolink_mitm.core.providers import catalog
from neurolink_mitm.core.providers.embedding_batches import BATCHES
from neurolink_mitm.core.providers.names import unknown_provider
from neurolink_mitm.core.settings.values import Config, ModelMapping, Routing

GEMINI = "gemini-"
OF_GEMINI = ("vertex", "google-ai")
"""The providers of `gemini-*`: the first that can be asked."""
ANY_GEMINI = tuple(f"{provider}/{GEMINI}*" for provider in OF_GEMINI)
"""Their entries for all models `gemini-*`."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route: the pool first, if `pool`, then the entries in order."""

    rule: str
    """The rule of the configuration, for the log."""
    model: str
    """The model that Anthropic is asked for."""
    pool: bool = True
    entries: tuple[str, ...] = ()
    """Keys of other providers' entries."""


THE_POOL = Route("any request", "")
"""The route of requests without a model."""


def route(model: str, routing: Routing, others: Iterable[Account] = ()) -> Route | None:
    """Return the route of a model; None if nothing serves it. `others` are the entries of other providers.

    The first that matches: a mapping (an exact name before wildcards), `gemini-*`, the passthrough list, `claude-*`, a
    model of the fallback chain, with or without its provider.
    """
    after = chain(routing)
    if mapping := mapping_of(model, routing.model_mappings):
        rule = f"model-mappings: {mapping.from_}"
        if mapping.provider == ANTHROPIC:
            return Route(rule, mapping.to, entries=after)
        first = key(mapping.provider, mapping.to)
        return Route(rule, model, pool=False, entries=_once((first, *after)))
    if model.startswith(GEMINI):
        rule, gemini = _gemini(others)
        return Route(rule, model, pool=False, entries=_once((*gemini, *after)))
    if any(fnmatchcase(model, listed) for listed in routing.passthrough_models):
        return Route("passthrough-models", model)
    if model.startswith("claude-"):
        return Route("claude-*", model, entries=after)
    if own := tuple(_chained(model, routing)):
        return Route(f"fallback-chain: {own[0]}", model, pool=False, entries=_once((*own, *after)))
    return None


def _chained(model: str, routing: Routing) -> Iterator[str]:
    """Yield the keys of the chain's entries that `model` names."""
    for each in routing.fallback_chain:
        if model in (each.model, name := key(each.provider, each.model)):
            yield name


def _gemini(others: Iterable[Account]) -> tuple[str, tuple[str, ...]]:
    """Return the rule for `gemini-*` and its entries: Vertex AI's; Google AI's where only that can be asked."""
    closed = {each.key: each.disabled for each in others if each.key in ANY_GEMINI}
    vertex, google_ai = ANY_GEMINI
    why = closed.get(vertex)
    if why is None:
        return "gemini-* is Vertex AI's", (vertex,)
    if closed.get(google_ai, why) is None:
        return f"gemini-* is google-ai's, as Vertex AI can't be asked ({why})", (google_ai,)
    return "gemini-* is Vertex AI's or google-ai's", ANY_GEMINI


def chain(routing: Routing) -> tuple[str, ...]:
    """Return the keys of the fallback chain's entries."""
    return tuple(key(each.provider, each.model) for each in routing.fallback_chain)


def known_models(claude: Iterable[str], routing: Routing) -> tuple[str, ...]:
    """Return the names of models that can be asked for, without wildcards."""
    mapped = (mapping.from_ for mapping in routing.model_mappings)
    chained = (each.model for each in routing.fallback_chain)
    names = (*claude, *mapped, *routing.passthrough_models, *chained)
    return _once(name for name in names if not is_wildcard(name))


def entries(
    config: Config, environ: Mapping[str, str], unfit: Mapping[str, str] = MappingProxyType({})
) -> tuple[Account, ...]:
    """Return an entry for each model of another provider in the configuration, for `gemini-*`, and for embeddings.

    `unfit` tells by provider why it can't work on this machine, whatever its key.
    """
    named = dict(_named(config.routing))
    named |= {key(each, "*"): (each, None) for each in with_embeddings(config, environ)}
    return tuple(
        _entry(name, provider, model, config, environ, unfit.get(provider))
        for name, (provider, model) in named.items()
    )


def wanted(config: Config) -> frozenset[str]:
    """Return the other providers in the configuration."""
    named = (provider for _, (provider, model) in _named(config.routing) if model)
    return frozenset(named) | frozenset(config.providers)


def asked_providers(config: Config) -> frozenset[str]:
    """Return the other providers that messages may go to, those of `gemini-*` among them."""
    return wanted(config) | set(OF_GEMINI)


def all_asked(config: Config, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the other providers that any request may go to."""
    return asked_providers(config) | set(with_embeddings(config, environ))


def with_embeddings(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the providers whose embeddings can be asked for by name: those with a key, whoever has named them.

    Of those that only LiteLLM knows, a key can't be seen: these are the ones in the configuration.
    """
    named = wanted(config)
    return tuple(
        each
        for each in BATCHES
        if (each in catalog.PROVIDERS or each in named)
        and catalog.missing_access(each, config.providers, environ) is None
    )


def key(provider: str, model: str) -> str:
    """Return the key of an entry: `google-ai/gemini-2.5-flash`."""
    return f"{provider}/{model}"


def _named(routing: Routing) -> Iterator[tuple[str, tuple[str, str | None]]]:
    for each in routing.fallback_chain:
        yield key(each.provider, each.model), (each.provider, each.model)
    for mapping in routing.model_mappings:
        if mapping.provider != ANTHROPIC:
            yield key(mapping.provider, mapping.to), (mapping.provider, mapping.to)
    for provider, name in zip(OF_GEMINI, ANY_GEMINI, strict=True):
        yield name, (provider, None)


def _entry(
    name: str,
    provider: str,
    model: str | None,
    config: Config,
    environ: Mapping[str, str],
    unfit: str | None,
) -> Account:
    return Account(
        key=name,
        label=name,
        type="provider",
        # not sent from here: another key or address ends the entry's cooldowns
        secret=catalog.access_mark(provider, config.providers, environ),
        base_url="",
        provider=provider,
        model=model,
        disabled=unknown_provider(provider, embeddings=provider in BATCHES)
        or catalog.missing_access(provider, config.providers, environ)
        or unfit,
    )


def places_of_others(routing: Routing) -> Iterator[tuple[str, str]]:
    """Yield where the routing sends requests to other providers, as a key of the configuration, and to which one."""
    for index, each in enumerate(routing.fallback_chain):
        yield f"routing.fallback-chain[{index}]", each.provider
    for index, mapping in enumerate(routing.model_mappings):
        if mapping.provider != ANTHROPIC:
            yield f"routing.model-mappings[{index}]", mapping.provider


def mapping_of(model: str, mappings: Sequence[ModelMapping]) -> ModelMapping | None:
    """Return the mapping that takes `model`: an exact name before wildcards."""
    exact = (mapping for mapping in mappings if mapping.from_ == model)
    wild = (mapping for mapping in mappings if fnmatchcase(model, mapping.from_))
    return next(exact, None) or next(wild, None)


def is_wildcard(name: str) -> bool:
    """Tell whether the name of a model is a pattern."""
    return any(sign in name for sign in "*?[")


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
