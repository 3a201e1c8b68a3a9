from __future__ import annotations

import pytest

from neurolink_mitm.config.editable import (
    Change,
    NotAllowedError,
    check_change,
    check_rest,
    is_editable,
)
from neurolink_mitm.config.schema import entries

EDITABLE = [
    *(f"routing.{key}" for key in ("strategy", "primaryAccount", "accountOrder", "sessionAffinity", "modelMappings")),
    *(f"routing.{key}" for key in ("fallbackChain", "passthroughModels", "hold", "payPerUse", "dailyCapUsd")),
    *(f"timeouts.{key}" for key in ("connect", "firstEvent", "idle", "total", "drain")),
    *(f"logging.{key}" for key in ("maxAgeDays", "maxSizeMb", "rollupDays", "captureBodies")),
    *(f"accounts.anthropic[].{key}" for key in ("weight", "priority", "enabled", "rateLimit", "maxConcurrent")),
    "accounts.anthropic[].excludedModels",
]  # fmt: skip
ONE_VALUE = ("routing.modelMappings[].", "routing.fallbackChain[].")
"""Below these, a list is edited as one value."""


def loc(path: str) -> tuple[str, ...]:
    return tuple(path.replace("[]", ".work").split("."))


def test_every_key_of_the_configuration_is_listed_or_refused() -> None:
    paths = [each.path for each in entries() if not each.path.startswith(ONE_VALUE)]
    assert [path for path in paths if is_editable(loc(path))] == EDITABLE
    for path in set(paths) - set(EDITABLE):
        with pytest.raises(NotAllowedError, match="in the file only"):
            check_change(Change(loc(path), "x"))


@pytest.mark.parametrize(
    "path",
    [
        (), ("routing",), ("accounts",), ("accounts", "anthropic"), ("accounts", "anthropic", "work"),
        ("routing", "hold", "x"), ("routing", "pay-per-use"), ("routing", "pay_per_use"), ("routing", "<<"),
        ("accounts", "openai", "work", "weight"), ("accounts", "anthropic", "", "weight"),
        ("accounts", "anthropic", "${HOME}", "weight"), ("accounts", "anthropic", "a\nb", "weight"),
        ("accounts", "anthropic", "work", "name"), ("notify", "command"), ("Routing", "hold"),
    ],
    ids=str,
)  # fmt: skip
def test_no_other_path_is_a_key(path: tuple[str, ...]) -> None:
    assert not is_editable(path)


@pytest.mark.parametrize(
    "value",
    [
        "${ANTHROPIC_API_KEY}", "$${X}", "a\nnotify: {command: [sh]}", "a\u2028b", "\ud800", "\0", ["a", "${X:-y}"],
        [{"provider": "openai", "model": "${OPENAI_API_KEY}"}], [{"provider": "x", "${X}": "y"}],
        [{"provider": "huggingface", "model": "https://example.com/v1"}], [{"from": "a", "to": "HTTP://example.com"}],
    ],
    ids=repr,
)  # fmt: skip
def test_a_text_that_would_not_stay_one_is_refused(value: object) -> None:
    with pytest.raises(NotAllowedError):
        check_change(Change(("routing", "passthroughModels"), value))  # type: ignore[arg-type]


BEFORE = {
    "version": 1,
    "routing": {"hold": 5},
    "accounts": {"anthropic": [{"name": "a", "apiKey": "k", "weight": 2}, {"apiKey": "l"}]},
}


def entry(**values: object) -> dict[str, object]:
    first, *rest = BEFORE["accounts"]["anthropic"]  # type: ignore[index]
    return {**BEFORE, "accounts": {"anthropic": [{**first, **values}, *rest]}}


@pytest.mark.parametrize(
    "after",
    [
        {**BEFORE, "routing": None},
        {**BEFORE, "routing": {"fallback-chain": [{"provider": "openai", "model": "m"}]}},
        {**BEFORE, "timeouts": {"idle": 3, "first-event": 4}},
        entry(weight=3, **{"rate-limit": 4}, excludedModels=["x"]),
        {**BEFORE, "accounts": {"anthropic": [*BEFORE["accounts"]["anthropic"], {"name": "b", "weight": 1}]}},  # type: ignore[index]
    ],
)  # fmt: skip
def test_what_may_be_edited_may_differ(after: object) -> None:
    check_rest(BEFORE, after)
    check_rest(after, BEFORE)


@pytest.mark.parametrize(
    "after",
    [
        None,
        {**BEFORE, "notify": {"command": ["sh"]}},
        {**BEFORE, "version": True},
        {**BEFORE, "default-base-url": "https://example.com"},
        {**BEFORE, "routing": {"hold": 5, "new": 1}},
        {**BEFORE, "routing": ["hold"]},
        {**BEFORE, True: 1},
        entry(baseUrl="https://example.com"),
        entry(apiKey="other"),
        entry(name="b"),
        {**BEFORE, "accounts": {"anthropic": BEFORE["accounts"]["anthropic"][::-1]}},  # type: ignore[index]
        {**BEFORE, "accounts": {"anthropic": []}},
        {**BEFORE, "accounts": {"anthropic": [*BEFORE["accounts"]["anthropic"], {"weight": 1}]}},  # type: ignore[index]
        {**BEFORE, "accounts": {"anthropic": [*BEFORE["accounts"]["anthropic"], {"name": "b", "apiKey": "x"}]}},  # type: ignore[index]
        {**BEFORE, "accounts": {**BEFORE["accounts"], "other": []}},  # type: ignore[dict-item]
    ],
)  # fmt: skip
def test_nothing_else_may_differ(after: object) -> None:
    with pytest.raises(NotAllowedError):
        check_rest(BEFORE, after)
