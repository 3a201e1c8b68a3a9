"""The list of models that `GET /v1/models` answers with, in a form both Anthropic's and OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from neurolink_mitm.core.accounts import ANTHROPIC
from neurolink_mitm.core.destinations import is_wildcard

if TYPE_CHECKING:  # pydantic behind it is slow to import
    from neurolink_mitm.core.config_values import Routing

UNKNOWN_DAY = "1970-01-01T00:00:00Z"
"""What Anthropic's own list says where the release day is not known."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be asked for; `created_at` is its release day (ISO 8601, UTC)."""

    id: str
    display_name: str
    created_at: str
    owned_by: str = ANTHROPIC


CLAUDE = (
    Model("claude-opus-4-6", "Claude Opus 4.6", "2026-02-04T00:00:00Z"),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", "2026-02-17T00:00:00Z"),
    Model("claude-opus-4-5-20251101", "Claude Opus 4.5", "2025-11-24T00:00:00Z"),
    Model("claude-haiku-4-5-20251001", "Claude Haiku 4.5", "2025-10-15T00:00:00Z"),
    Model("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", "2025-09-29T00:00:00Z"),
    Model("claude-opus-4-1-20250805", "Claude Opus 4.1", "2025-08-05T00:00:00Z"),
    Model("claude-opus-4-20250514", "Claude Opus 4", "2025-05-22T00:00:00Z"),
    Model("claude-sonnet-4-20250514", "Claude Sonnet 4", "2025-05-22T00:00:00Z"),
)
"""Names to choose from; any other `claude-*` is passed on as well, so a new one needs no new release."""


def offered(routing: Routing) -> tuple[Model, ...]:
    """All that can be asked for by name: Claude's, those that are mapped, and those of the passthrough list."""
    found = {model.id: model for model in CLAUDE}
    for mapping in routing.model_mappings:
        model = found.get(mapping.from_) or _named(mapping.from_)
        found[model.id] = replace(model, owned_by=mapping.provider)
    for name in routing.passthrough_models:
        found.setdefault(name, _named(name))
    return tuple(model for model in found.values() if not is_wildcard(model.id))


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
