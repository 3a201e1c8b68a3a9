from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from typing import get_args

import pytest

from neurolink_mitm.core.providers.destinations import route
from neurolink_mitm.core.providers.models import CLAUDE, Model, listing, offered
from neurolink_mitm.core.settings.values import ModelMapping, Routing

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


def listed_by_the_sdk() -> set[str]:
    from anthropic.types import ModelParam  # whoever only collects this file need not wait for it

    names, _ = get_args(ModelParam)
    return set(get_args(names))


def priced() -> set[str]:
    table = json.loads((files("neurolink_mitm.core.cost") / "prices.json").read_bytes())
    return {name for name in table["anthropic"] if re.match(r"claude-[a-z]", name)}


@pytest.mark.parametrize("known", [listed_by_the_sdk, priced], ids=["sdk", "prices"])
def test_what_others_know_is_listed(known: Callable[[], set[str]]) -> None:
    """Fails once the lock or the price table names a model that the list lacks: add it there."""
    assert known() - {model.id for model in CLAUDE} == set()


def test_an_alias_and_its_dated_name_are_the_same_model() -> None:
    shown = {model.id: (model.display_name, model.created_at) for model in CLAUDE}
    assert shown["claude-haiku-4-5"] == ("Claude Haiku 4.5", "2025-10-15T00:00:00Z")
    assert shown["claude-haiku-4-5"] == shown["claude-haiku-4-5-20251001"]
    assert shown["claude-opus-4-0"] == shown["claude-opus-4-20250514"]
    assert shown["claude-mythos-preview"][0] == "Claude Mythos Preview"


def test_no_model_is_listed_twice() -> None:
    assert len({model.id for model in CLAUDE}) == len(CLAUDE)


def test_every_model_has_its_day_in_utc() -> None:
    assert {datetime.fromisoformat(model.created_at).tzinfo for model in CLAUDE} == {UTC}


ROUTING = Routing(
    model_mappings=(
        ModelMapping("best", "gpt-x", "openai"),
        ModelMapping("claude-opus-4-6", "gpt-y", "openai"),
        ModelMapping("newest", "claude-opus-4-6"),
        ModelMapping("claude-3-*", "gpt-z", "openai"),
    ),
    passthrough_models=("claude-opus-4-20250514", "internal", "secret-*"),
)


def test_what_is_mapped_or_passed_through_is_offered_by_its_name_and_wildcards_are_not() -> None:
    own = {model.id for model in CLAUDE}
    assert {m.id for m in offered(ROUTING)} == own | {"best", "newest", "internal"}


def test_each_is_owned_by_who_answers() -> None:
    owners = {entry["id"]: entry["owned_by"] for entry in listing(offered(ROUTING))["data"]}  # type: ignore[attr-defined]
    assert {name for name, owner in owners.items() if owner == "openai"} == {
        "best",
        "claude-opus-4-6",
    }
    assert owners["newest"] == owners["internal"] == "anthropic"


def test_a_day_that_nobody_knows_is_the_epoch() -> None:
    entries = {entry["id"]: entry for entry in listing(offered(ROUTING))["data"]}  # type: ignore[attr-defined]
    assert entries["best"]["created"] == 0


def test_without_configuration_only_claude_is_offered() -> None:
    assert offered(Routing()) == CLAUDE
