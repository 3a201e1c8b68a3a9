from __future__ import annotations

from dataclasses import replace

import pytest

from neurolink_mitm.core.providers.adapt import adapt
from neurolink_mitm.core.providers.adapt.thinking import MIN_BUDGET, effort
from tests.core.providers.adapt.requests import TRAITS, USER, Json

ENABLED: Json = {"type": "enabled", "budget_tokens": 4000}
THINKING: dict[str, tuple[Json, bool, Json]] = {
    "a budget": ({"thinking": ENABLED}, False, {"thinking": ENABLED}),
    "a budget as effort": ({"thinking": ENABLED}, True,
                           {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}}),
    "effort that is named": ({"thinking": ENABLED, "output_config": {"effort": "low"}}, True,
                             {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    "adaptive": ({"thinking": {"type": "adaptive"}}, True, {"thinking": {"type": "adaptive"}}),
    "disabled": ({"thinking": {"type": "disabled"}}, True, {}),
    "unknown members": ({"output_config": {"effort": "low", "x": 1}}, False, {"output_config": {"effort": "low"}}),
    "nothing of either": ({"thinking": {}, "output_config": {}}, True, {"thinking": {}}),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "by_effort", "left"), THINKING.values(), ids=THINKING)
def test_thinking(asked: Json, by_effort: bool, left: Json) -> None:
    request = adapt(
        {"messages": [USER], **asked}, replace(TRAITS, thinking="effort" if by_effort else "budget")
    ).request
    assert {
        name: request[name] for name in ("thinking", "output_config") if name in request
    } == left


@pytest.mark.parametrize(
    ("budget", "expected"),
    [(1024, "low"), (2048, "low"), (2049, "medium"), (8192, "medium"), (8193, "high"), (None, "high")],
)  # fmt: skip
def test_effort_follows_the_budget(budget: int | None, expected: str) -> None:
    assert effort(budget) == expected


@pytest.mark.parametrize(
    ("asked", "budget", "limit", "left"),
    [(64000, None, 16384, (16384, None)), (100, None, 16384, (100, None)), (64000, None, None, (64000, None)),
     (64000, 32000, 16384, (16384, 8192)), (64000, 4000, 16384, (16384, 4000)),
     (64000, 32000, MIN_BUDGET, (MIN_BUDGET, None)), (1500, 1500, None, (1500, MIN_BUDGET))],
)  # fmt: skip
def test_no_more_tokens_are_asked_for_than_the_model_has(
    asked: int, budget: int | None, limit: int | None, left: tuple[int, int | None]
) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": budget}} if budget else {}
    request = {"messages": [USER], "max_tokens": asked, **thinking}
    made = adapt(request, replace(TRAITS, output_limit=limit, thinking="budget")).request
    assert (made["max_tokens"], made.get("thinking", {}).get("budget_tokens")) == left


@pytest.mark.parametrize(
    ("wanted", "taken", "left"),
    [("high", ("low", "high"), "high"), ("max", ("low", "high"), "high"), ("minimal", ("low", "high"), "low"),
     ("medium", ("low", "high"), "low"), ("xhigh", ("low", "xhigh"), "xhigh"), ("of tomorrow", ("low", "high"), "high"),
     (None, ("low", "high"), "high"), ("max", (), "max"), ("none", ("none", "low"), "none"),
     ("none", ("low", "high"), "low"), ("minimal", ("none", "low", "high"), "low")],
)  # fmt: skip
def test_an_effort_is_one_that_the_model_takes(
    wanted: object, taken: tuple[str, ...], left: str
) -> None:
    request = {"messages": [USER], "output_config": {"effort": wanted}}
    made = adapt(request, replace(TRAITS, efforts=taken)).request
    assert made["output_config"]["effort"] == left
