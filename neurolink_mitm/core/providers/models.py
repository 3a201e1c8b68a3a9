"""The list of models that `GET /v1/models` answers with, in a form both Anthropic's and OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from neurolink_mitm.core.exchange import Reply
from neurolink_mitm.core.pool.accounts import ANTHROPIC
from neurolink_mitm.core.providers.destinations import is_wildcard, known_models
from neurolink_mitm.core.request.routing import not_served as no_route
from neurolink_mitm.core.settings.values import Routing

UNKNOWN_DAY = "1970-01-01T00:00:00Z"
"""What Anthropic's own list says where the release day is not known."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be asked for; `created_at` is its release day (ISO 8601, UTC)."""

    id: str
    display_name: str
    created_at: str
    owned_by: str = ANTHROPIC


def _released(name: str, day: str = "", dated: str = "") -> tuple[Model, ...]:
    """A model of Anthropic's by its name, and by its `dated` one, of which the name is an alias."""
    family, _, version = name.removeprefix("claude-").partition("-")
    shown = (
        f"Claude {family.capitalize()} {version.removesuffix('-0').replace('-', '.').capitalize()}"
    )
    created_at = f"{day}T00:00:00Z" if day else UNKNOWN_DAY
    names = (name, f"{name.removesuffix('-0')}-{dated}") if dated else (name,)
    return tuple(Model(each, shown, created_at) for each in names)


CLAUDE = (
    *_released("claude-opus-5-5"),
    *_released("claude-sonnet-5-5"),
    *_released("claude-haiku-5-5"),
    *_released("claude-fable-5-2"),
    *_released("claude-mythos-5-2"),
    *_released("claude-fable-5-1", "2026-09-01"),
    *_released("claude-mythos-5-1", "2026-09-01"),
    *_released("claude-opus-5", "2026-07-24"),
    *_released("claude-sonnet-5", "2026-06-30"),
    *_released("claude-fable-5", "2026-06-09"),
    *_released("claude-mythos-5"),
    *_released("claude-mythos-preview"),
    *_released("claude-opus-4-8", "2026-05-28"),
    *_released("claude-opus-4-7", "2026-04-16", dated="20260416"),
    *_released("claude-sonnet-4-6", "2026-02-17"),
    *_released("claude-opus-4-6", "2026-02-05", dated="20260205"),
    *_released("claude-opus-4-5", "2025-11-24", dated="20251101"),
    *_released("claude-haiku-4-5", "2025-10-15", dated="20251001"),
    *_released("claude-sonnet-4-5", "2025-09-29", dated="20250929"),
    *_released("claude-opus-4-1", "2025-08-05", dated="20250805"),
    *_released("claude-opus-4-0", "2025-05-22", dated="20250514"),
    *_released("claude-sonnet-4-0", "2025-05-22", dated="20250514"),
)
"""Names to choose from, the newest first; any other `claude-*` is passed on as well, so a new one needs no new release.

The names that Anthropic's SDK and LiteLLM's price table know of: a test compares, so that an update of those tells what
is missing here. https://platform.claude.com/docs/en/about-claude/models/overview
"""


def offered(routing: Routing) -> tuple[Model, ...]:
    """All that can be asked for by name: Claude's, those that are mapped, and those of the passthrough list."""
    found = {model.id: model for model in CLAUDE}
    for mapping in routing.model_mappings:
        model = found.get(mapping.from_) or _named(mapping.from_)
        found[model.id] = replace(model, owned_by=mapping.provider)
    for name in routing.passthrough_models:
        found.setdefault(name, _named(name))
    return tuple(model for model in found.values() if not is_wildcard(model.id))


def not_served(name: str, routing: Routing) -> Reply:
    """The 404 of a model that has no route, with what can be asked for."""
    return no_route(name, known_models((model.id for model in CLAUDE), routing))


def _named(name: str) -> Model:
    return Model(name, name, UNKNOWN_DAY)


def listing(models: Iterable[Model] = CLAUDE) -> dict[str, object]:
    """The body of `GET /v1/models`."""
    data = [_entry(model) for model in models]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def _entry(model: Model) -> dict[str, object]:
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
