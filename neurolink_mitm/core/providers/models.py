"""The models of `GET /v1/models` and `GET /v1/models/{id}`, as both Anthropic's and OpenAI's clients read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.pool.accounts import ANTHROPIC, Account
from neurolink_mitm.core.providers.claude_models import ROWS
from neurolink_mitm.core.providers.destinations import Route, is_wildcard, known_models, route
from neurolink_mitm.core.providers.embeddings import embeddings_route
from neurolink_mitm.core.request.body import LONGEST_MODEL
from neurolink_mitm.core.request.routing import not_served as no_route
from neurolink_mitm.core.settings.values import Routing

UNKNOWN_DAY = "1970-01-01T00:00:00Z"
"""An unknown release day, as in Anthropic's own list."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be asked for; `created_at` is its release day (ISO 8601, UTC)."""

    id: str
    display_name: str
    created_at: str
    owned_by: str = ANTHROPIC


def _released(name: str, day: str, dated: str) -> tuple[Model, ...]:
    """Return a model of Anthropic's, and the one of the name with the date `dated`, for which `name` is an alias."""
    family, _, version = name.removeprefix("claude-").partition("-")
    number = version.removesuffix("-0").replace("-", ".").capitalize()
    display_name = f"Claude {family.capitalize()} {number}"
    created_at = f"{day}T00:00:00Z" if day else UNKNOWN_DAY
    names = (name, f"{name.removesuffix('-0')}-{dated}") if dated else (name,)
    return tuple(Model(each, display_name, created_at) for each in names)


CLAUDE = tuple(model for row in ROWS for model in _released(*row))
"""Anthropic's models, the newest first. Other names `claude-*` are forwarded as well."""


def offered(routing: Routing) -> tuple[Model, ...]:
    """Return all models that can be asked for: Anthropic's, mapped ones, the passthrough list, the chain's."""
    models = {model.id: model for model in CLAUDE}
    for mapping in routing.model_mappings:
        model = models.get(mapping.from_) or _named(mapping.from_)
        models[model.id] = replace(model, owned_by=mapping.provider)
    for name in routing.passthrough_models:
        models.setdefault(name, _named(name))
    for each in routing.fallback_chain:
        models.setdefault(each.model, replace(_named(each.model), owned_by=each.provider))
    return tuple(model for model in models.values() if not is_wildcard(model.id))


def find(name: str, routing: Routing, others: Iterable[Account]) -> Model | None:
    """Return a model by its name; None if it can't be asked for, or only Anthropic knows whether it can."""
    listed = next((model for model in offered(routing) if model.id == name), None)
    if listed or len(name) > LONGEST_MODEL or is_wildcard(name):
        return listed
    taken = route(name, routing, others) or _of_embeddings(name, routing, others)
    if taken is None or (taken.pool and name.startswith("claude-")):
        return None
    owner = taken.entries[0].partition("/")[0] if not taken.pool else ANTHROPIC
    return replace(_named(name), owned_by=owner)


def newest(family: str) -> str:
    """Return Anthropic's newest model of `family` (`sonnet`) that has a release day, and so a price."""
    return next(name for name, day, _ in ROWS if day and name.startswith(f"claude-{family}-"))


def _of_embeddings(name: str, routing: Routing, others: Iterable[Account]) -> Route | None:
    try:
        return embeddings_route(name, routing, others)
    except RequestError:
        return None


def served(routing: Routing) -> tuple[str, ...]:
    """Return the names of all models that can be asked for."""
    return known_models((model.id for model in CLAUDE), routing)


def not_served(name: str, routing: Routing) -> Reply:
    """Return the 404 for a model without a route, with the models that can be asked for."""
    return no_route(name, served(routing))


def _named(name: str) -> Model:
    return Model(name, name, UNKNOWN_DAY)


def listing(models: Iterable[Model] = CLAUDE) -> dict[str, object]:
    """Return the body of `GET /v1/models`."""
    data = [entry(model) for model in models]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def entry(model: Model) -> dict[str, object]:
    """Return the body of `GET /v1/models/{id}`."""
    created = datetime.fromisoformat(model.created_at)
    return {
        "id": model.id,
        "type": "model",
        "display_name": model.display_name,
        "created_at": model.created_at,
        "object": "model",
        "created": int(created.timestamp()),
        "owned_by": model.owned_by,
    }
