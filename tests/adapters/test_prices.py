from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from neurolink_mitm.adapters.prices import shipped_prices
from neurolink_mitm.core.providers.models import CLAUDE

ROOT = Path(__file__).parents[2]


def test_the_table_is_that_of_the_litellm_that_is_locked() -> None:
    text = (ROOT / "neurolink_mitm" / "prices.json").read_text()
    made = runpy.run_path(str(ROOT / "tools" / "prices"))["table"](json.loads(text)["date"])
    assert made == text, "run: make prices"


@pytest.mark.parametrize("model", [model.id for model in CLAUDE])
def test_every_listed_claude_model_has_a_price(model: str) -> None:
    price = shipped_prices().of("anthropic", model)
    assert price is not None
    assert 0 < price.cache_read < price.input < price.cache_write < price.output


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("google-ai", "gemini-2.5-flash"),
        ("openai", "gpt-4o-mini"),
        ("groq", "llama-3.3-70b-versatile"),
    ],
)
def test_other_providers_are_listed_by_our_names(provider: str, model: str) -> None:
    assert shipped_prices().of(provider, model) is not None
