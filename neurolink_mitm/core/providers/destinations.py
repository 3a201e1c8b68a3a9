"""Routes a model to the pool of accounts and to models of other providers.

Each model of another provider is an entry of the pool's second list: an `Account` of type `provider` with its own
state. An entry without a key is listed as well, so that `status` can say why it is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from neurolink_mitm.core.pool.accounts import ANTHROPIC, Account
from neurolink_mitm.core.providers import catalog
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, ModelMapping, Routing

GEMINI = "gemini-"
VERTEX = "vertex"
ANY_GEMINI = f"{VERTEX}/{GEMINI}*"
"""The entry for all models `gemini-*`."""


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


def route(model: str, routing: Routing) -> Route | None:
    """Return the route of a model; None if nothing serves it.

    The first that matches: a mapping (an exact name before wildcards), `gemini-*`, the passthrough list, `claude-*`.
    """
    after = chain(routing)
    if mapping := _mapping(model, routing.model_mappings):
        rule = f"model-mappings: {mapping.from_}"
        if mapping.provider == ANTHROPIC:
            return Route(rule, mapping.to, entries=after)
        first = key(mapping.provider, mapping.to)
        return Route(rule, model, pool=False, entries=_once((first, *after)))
    if model.startswith(GEMINI):
        return Route("gemini-* is Vertex AI's", model, pool=False, entries=(ANY_GEMINI, *after))
    if any(fnmatchcase(model, listed) for listed in routing.passthrough_models):
        return Route("passthrough-models", model)
    if model.startswith("claude-"):
        return Route("claude-*", model, entries=after)
    return None


def chain(routing: Routing) -> tuple[str, ...]:
    """Return the keys of the fallback chain's entries."""
    return tuple(key(each.provider, each.model) for each in routing.fallback_chain)


def known_models(claude: Iterable[str], routing: Routing) -> tuple[str, ...]:
    """Return the names of models that can be asked for, without wildcards."""
    mapped = (mapping.from_ for mapping in routing.model_mappings)
    names = (*claude, *mapped, *routing.passthrough_models)
    return _once(name for name in names if not is_wildcard(name))


def entries(config: Config, environ: Mapping[str, str]) -> tuple[Account, ...]:
    """Return an entry for each model of another provider in the configuration, and for `gemini-*`."""
    named = dict(_named(config.routing))
    return tuple(_entry(provider, model, config, environ) for provider, model in named.values())


def wanted(config: Config) -> frozenset[str]:
    """Return the other providers in the configuration."""
    named = (provider for _, (provider, model) in _named(config.routing) if model)
    return frozenset(named) | frozenset(config.providers)


def key(provider: str, model: str) -> str:
    """Return the key of an entry: `google-ai/gemini-2.5-flash`."""
    return f"{provider}/{model}"


def _named(routing: Routing) -> Iterator[tuple[str, tuple[str, str | None]]]:
    for each in routing.fallback_chain:
        yield key(each.provider, each.model), (each.provider, each.model)
    for mapping in routing.model_mappings:
        if mapping.provider != ANTHROPIC:
            yield key(mapping.provider, mapping.to), (mapping.provider, mapping.to)
    yield ANY_GEMINI, (VERTEX, None)


def _entry(provider: str, model: str | None, config: Config, environ: Mapping[str, str]) -> Account:
    name = key(provider, model) if model else ANY_GEMINI
    api_key = catalog.key_of(provider, config.providers, environ)
    return Account(
        key=name,
        label=name,
        type="provider",
        # not sent from here: a new key clears the entry's cooldown
        secret=api_key or Secret(provider),
        base_url="",
        provider=provider,
        model=model,
        disabled=catalog.unknown_provider(provider)
        or catalog.missing_key(provider, config.providers, environ),
    )


def _mapping(model: str, mappings: Sequence[ModelMapping]) -> ModelMapping | None:
    exact = (mapping for mapping in mappings if mapping.from_ == model)
    wild = (mapping for mapping in mappings if fnmatchcase(model, mapping.from_))
    return next(exact, None) or next(wild, None)


def is_wildcard(name: str) -> bool:
    """Tell whether the name of a model is a pattern."""
    return any(sign in name for sign in "*?[")


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
