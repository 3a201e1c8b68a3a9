from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.core.openai.claude import EFFORTS, ClaudeTraits, claude_traits
from neurolink_mitm.core.providers.claude_models import ROWS


def litellms() -> dict[str, dict[str, Any]]:
    """Return LiteLLM's facts about Anthropic's models, read without importing it."""
    file = "litellm/model_prices_and_context_window_backup.json"
    table = json.loads(
        Path(str(importlib.metadata.distribution("litellm").locate_file(file))).read_text()
    )
    return {name: row for name, row in table.items() if row.get("litellm_provider") == "anthropic"}


FACTS = {
    "max_output": lambda row: row["max_output_tokens"],
    "adaptive": lambda row: row.get("supports_adaptive_thinking", False),
    "budget": lambda row: (
        row.get("supports_reasoning", False)
        and (
            not row.get("supports_adaptive_thinking") or row.get("supports_legacy_thinking", False)
        )
    ),
    "xhigh": lambda row: row.get("supports_xhigh_reasoning_effort", False),
    "sampling": lambda row: row.get("supports_sampling_params", True),
    "prefill": lambda row: row["supports_assistant_prefill"],
    "structured": lambda row: row.get("supports_native_structured_output", False),
}
OURS = {name: (lambda traits, name=name: getattr(traits, name)) for name in FACTS} | {
    "xhigh": lambda traits: "xhigh" in traits.efforts
}
DIFFERENT = {
    # measured: https://github.com/router-for-me/CLIProxyAPI/issues/5319
    ("claude-sonnet-4-6", "prefill"),
    # no model of https://platform.claude.com/docs/en/build-with-claude/structured-outputs
    ("claude-opus-4-1", "structured"),
    ("claude-opus-4-1-20250805", "structured"),
}


def test_the_facts_are_litellms_but_for_those_it_has_wrong() -> None:
    different = {
        (name, fact)
        for name, row in litellms().items()
        for fact, theirs in FACTS.items()
        if not name.startswith("claude-4-") and OURS[fact](claude_traits(name)) != theirs(row)
    }
    assert different == DIFFERENT


@pytest.mark.parametrize(
    ("model", "like"),
    [
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-opus-4.6", "claude-opus-4-6"),
        ("claude-opus-4-6[1m]", "claude-opus-4-6"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4-0"),
        ("claude-sonnet-7", "claude-sonnet-5-5"),
        ("claude-something", "claude-fable-5-2"),
    ],
)
def test_a_model_has_several_names(model: str, like: str) -> None:
    assert claude_traits(model) == claude_traits(like)


def test_newer_models_refuse_more() -> None:
    for name, *_ in ROWS:
        traits = claude_traits(name)
        if traits.adaptive:
            assert traits.efforts
            assert not traits.prefill
        if not traits.sampling:
            assert (traits.budget, traits.efforts, traits.structured) == (False, EFFORTS, True)


@pytest.mark.parametrize(
    ("model", "unasked", "off", "forced"),
    [
        ("claude-opus-4-8", False, "disabled", True),
        ("claude-opus-5", True, "disabled", True),
        ("claude-fable-5", True, "", True),
        ("claude-fable-5-1", True, "", False),
        ("claude-opus-5-5", True, "", False),
        ("claude-sonnet-5-5", True, "between_tools", False),
        ("claude-haiku-5-5", True, "disabled", True),
    ],
)
def test_thinking_can_be_switched_off_and_calls_forced_where(
    model: str, unasked: bool, off: str, forced: bool
) -> None:
    traits = claude_traits(model)
    assert (traits.thinks_unasked, traits.off, traits.forced) == (unasked, off, forced)


def test_another_providers_model_takes_everything() -> None:
    traits = claude_traits("gpt-5")
    fields = (field.name for field in dataclasses.fields(ClaudeTraits))
    assert all(getattr(traits, name) for name in fields if name != "off")


def test_only_opus_4_5_needs_a_beta() -> None:
    needs = {name: claude_traits(name).beta for name, *_ in ROWS if claude_traits(name).beta}
    assert set(needs.values()) == {b"effort-2025-11-24"}
    assert all(name.startswith("claude-opus-4-5") for name in needs)
