from __future__ import annotations

import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.core.providers import claude_models
from neurolink_mitm.core.providers.destinations import route
from neurolink_mitm.core.providers.models import CLAUDE, Model, listing, newest, offered
from neurolink_mitm.core.settings.values import Fallback, ModelMapping, Routing

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


@pytest.mark.parametrize("routing", ["nothing", "all"])
def test_what_is_listed_can_be_asked_for(routing: str) -> None:
    configured = {"nothing": Routing(), "all": ROUTING}[routing]
    assert [m.id for m in offered(configured) if route(m.id, configured) is None] == []


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[3] / "tools" / "models"))


@pytest.mark.parametrize("known", ["listed_by_the_sdk", "priced"])
def test_what_others_know_is_listed(tool: dict[str, Any], known: str) -> None:
    """Fails once the lock or the price table names a model that the table lacks."""
    text = Path(claude_models.__file__).read_text()
    assert tool["table"](tool[known]()) == text, "run: make models"


def test_what_claude_code_asks_for_is_read_from_its_bundle(tool: dict[str, Any]) -> None:
    bundle = (
        b'x,{id:"claude-new-9",family:"new",display_name:"New 9",knowledge_cutoff:"June",'
        b'provider_ids:{first_party:"claude-new-9-20991231",bedrock:"us.claude"}},VERSION:"2.9.1",'
        b'{id:"claude-haiku-4-5",family:"haiku",display_name:"Haiku 4.5",provider_ids:{first_party:"claude-haiku-4-5"'
    )
    names = tool["catalog"](bundle)
    assert names == {"claude-new-9", "claude-new-9-20991231", "claude-haiku-4-5"}
    assert tool["version"](bundle) == "2.9.1"


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (["claude-new-9", "claude-new-9-20991231"], [("claude-new-9", "", "20991231")]),
        (["claude-new-9"], [("claude-new-9", "", "")]),
        (["claude-opus-5-20260724"], [("claude-opus-5", "2026-07-24", "20260724")]),
        (
            ["claude-opus-4-0", "claude-opus-4-20250514", "claude-3-opus-20240229", "claude-code"],
            [],
        ),
    ],
    ids=["new", "new-without-a-date", "a-date-for-a-known-one", "known-and-others"],
)
def test_new_names_come_first_and_known_ones_stay(
    tool: dict[str, Any], names: list[str], rows: list[tuple[str, str, str]]
) -> None:
    found: dict[str, Any] = {}
    exec(tool["table"](names), found)  # noqa: S102 - the module that it would be
    changed = [row for row in found["ROWS"] if row not in claude_models.ROWS]
    assert changed == rows
    assert {row[0] for row in found["ROWS"]} >= {row[0] for row in claude_models.ROWS}


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
    fallback_chain=(Fallback("moonshot", "kimi-k2"), Fallback("bedrock", "claude-opus-4-6")),
)


def test_what_is_mapped_passed_through_or_chained_is_offered_by_its_name_and_wildcards_are_not() -> (
    None
):
    own = {model.id for model in CLAUDE}
    assert {m.id for m in offered(ROUTING)} == own | {"best", "newest", "internal", "kimi-k2"}


def test_each_is_owned_by_who_answers() -> None:
    owners = {entry["id"]: entry["owned_by"] for entry in listing(offered(ROUTING))["data"]}  # type: ignore[attr-defined]
    assert {name for name, owner in owners.items() if owner == "openai"} == {
        "best",
        "claude-opus-4-6",
    }
    assert owners["kimi-k2"] == "moonshot"
    assert owners["newest"] == owners["internal"] == "anthropic"


def test_a_day_that_nobody_knows_is_the_epoch() -> None:
    entries = {entry["id"]: entry for entry in listing(offered(ROUTING))["data"]}  # type: ignore[attr-defined]
    assert entries["best"]["created"] == 0


def test_without_configuration_only_claude_is_offered() -> None:
    assert offered(Routing()) == CLAUDE


@pytest.mark.parametrize("family", ["sonnet", "haiku"])
def test_the_newest_of_a_family_has_its_price(family: str) -> None:
    """Models without one count like the dearest."""
    prices, name = shipped_prices(), newest(family)
    assert name.startswith(f"claude-{family}-")
    assert prices.of("anthropic", name) != prices.of("anthropic", "claude-unknown-9")
