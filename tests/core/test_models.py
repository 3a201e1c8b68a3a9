from __future__ import annotations

from datetime import UTC, datetime

from neurolink_mitm.core.config_values import Routing
from neurolink_mitm.core.destinations import route
from neurolink_mitm.core.models import CLAUDE, Model, listing

TWO = (
    Model("claude-b", "Claude B", "2025-11-24T00:00:00Z"),
    Model("claude-a", "Claude A", "1970-01-02T00:00:00Z"),
)


def test_a_listing() -> None:
    """https://platform.claude.com/docs/en/api/models-list and
    https://platform.openai.com/docs/api-reference/models/list in one."""
    assert listing(TWO) == {
        "object": "list",
        "data": [
            {
                "id": "claude-b",
                "type": "model",
                "display_name": "Claude B",
                "created_at": "2025-11-24T00:00:00Z",
                "object": "model",
                "created": 1763942400,
                "owned_by": "anthropic",
            },
            {
                "id": "claude-a",
                "type": "model",
                "display_name": "Claude A",
                "created_at": "1970-01-02T00:00:00Z",
                "object": "model",
                "created": 86400,
                "owned_by": "anthropic",
            },
        ],
        "has_more": False,
        "first_id": "claude-b",
        "last_id": "claude-a",
    }


def test_an_empty_listing() -> None:
    assert listing([]) == {
        "object": "list",
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


def test_claudes_models_are_listed_by_default() -> None:
    assert listing()["first_id"] == CLAUDE[0].id


def test_what_is_listed_can_be_asked_for() -> None:
    assert [model.id for model in CLAUDE if route(model.id, Routing()) is None] == []


def test_no_model_is_listed_twice() -> None:
    assert len({model.id for model in CLAUDE}) == len(CLAUDE)


def test_every_model_has_its_day_in_utc() -> None:
    assert {datetime.fromisoformat(model.created_at).tzinfo for model in CLAUDE} == {UTC}
