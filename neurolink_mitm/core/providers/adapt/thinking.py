"""Adapts thinking and effort, and the limit of tokens that thinking counts against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurolink_mitm.core.providers.adapt.form import Json, members
from neurolink_mitm.core.providers.traits import Traits

MIN_BUDGET = 1024
"""Tokens of Anthropic's smallest thinking budget."""


def bound(request: Json, traits: Traits) -> None:
    """Lower `max_tokens` to the model's limit, and the thinking budget below that."""
    tokens = request.get("max_tokens")
    if isinstance(tokens, int):
        tokens = min(tokens, traits.output_limit or tokens)
        request["max_tokens"] = tokens
    thinking = members(request.get("thinking"))
    budget = thinking.get("budget_tokens")
    if isinstance(tokens, int) and isinstance(budget, int) and budget >= tokens:
        if tokens <= MIN_BUDGET:
            del request["thinking"]
        else:
            request["thinking"] = {**thinking, "budget_tokens": max(MIN_BUDGET, tokens // 2)}


def think(adapted: Json, request: Json, traits: Traits) -> None:
    """Set thinking and effort. `disabled` is the default of others, and some refuse it."""
    thinking = members(adapted.get("thinking"))
    output = members(request.get("output_config"))
    config = {"effort": output["effort"]} if "effort" in output else {}
    kind = thinking.get("type")
    forced = members(adapted.get("tool_choice")).get("type") in ("any", "tool")
    if kind == "disabled":
        del adapted["thinking"]
    elif forced and not traits.thinks_when_forced:
        adapted.pop("thinking", None)
        config = {}
    elif kind == "enabled" and traits.thinking == "effort":
        adapted["thinking"] = {"type": "adaptive"}
        config.setdefault("effort", effort(thinking.get("budget_tokens")))
    if traits.efforts and "effort" in config:
        config["effort"] = nearest(config["effort"], traits.efforts)
    if config:
        adapted["output_config"] = config


def effort(budget: Any) -> str:
    """Return the effort that corresponds to a thinking budget (tokens)."""
    if not isinstance(budget, int) or budget > 8192:
        return "high"
    return "low" if budget <= 2048 else "medium"


EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All efforts that are known, the smallest first."""


def nearest(wanted: Any, efforts: Sequence[str]) -> str:
    """Return the one of `efforts` that is `wanted`, or the largest below it, or the smallest.

    `none` switches thinking off: it takes the place of no other effort.
    """
    if wanted == "none" and "none" in efforts:
        return "none"
    efforts = [each for each in efforts if each != "none"]
    at_most = EFFORTS.index(wanted) if wanted in EFFORTS else len(EFFORTS)
    below = [each for each in efforts if EFFORTS.index(each) <= at_most]
    return below[-1] if below else efforts[0]
