"""Costs are LiteLLM's own, for prompts of all sizes: of Anthropic's models, and of others that cost more by size."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import pytest

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.core.cost.prices import Price
from neurolink_mitm.core.response.usage import TokenUsage

SIZES = (1_000, 150_000, 200_000, 200_001, 272_000, 272_001, 900_000)
"""Of prompts, in tokens."""
NAMES = {"anthropic": "anthropic", "google-ai": "gemini", "openai": "openai"}
"""Ours, and LiteLLM's."""


def cases() -> Iterator[tuple[str, str, TokenUsage]]:
    chance = random.Random(5)
    table = json.loads((files("neurolink_mitm.core.cost") / "prices.json").read_bytes())
    for provider in NAMES:
        for model, row in table[provider].items():
            if provider == "anthropic" or (isinstance(row, dict) and "above" in row):
                told = numbers_told(row)
                for size in SIZES:
                    yield provider, model, usage(chance, size, told, provider)


def numbers_told(row: Any) -> set[int]:
    """Which of the numbers are told for prompts of all sizes: LiteLLM takes others to be free, or not to grow."""
    rows = [row["price"], *row.get("above", {}).values()] if isinstance(row, dict) else [row]
    return {n for n in range(5) if all(len(r) > n and r[n] is not None for r in rows)}


def usage(chance: random.Random, size: int, told: set[int], provider: str) -> TokenUsage:
    read = chance.randrange(size) if 3 in told else 0
    written = chance.randrange(size - read) if 2 in told else 0
    return TokenUsage(
        input_tokens=size - read - written,
        output_tokens=chance.randrange(10_000),
        cache_creation_tokens=written,
        cache_creation_1h_tokens=chance.randrange(written + 1) if 4 in told else 0,
        cache_read_tokens=read,
        speed=chance.choice([None, "standard", "fast"]) if provider == "anthropic" else None,
        inference_geo=chance.choice([None, "us", "global"]) if provider == "anthropic" else None,
    )


@pytest.mark.real("litellm")
def test_costs_are_litellms_own() -> None:
    asked = list(cases())
    done = subprocess.run(
        [sys.executable, "-m", "tests.translator.litellm_costs"],
        input=json.dumps([(NAMES[provider], model, asdict(used)) for provider, model, used in asked]),
        capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    ours = [shipped_prices().cost(*case) for case in asked]
    assert len(ours) > 300
    assert ours == pytest.approx(json.loads(done.stdout), abs=1e-8)


def test_what_an_hour_costs_grows_with_the_size_where_the_table_does_not_say() -> None:
    """Anthropic: caching costs its share of whatever input costs. LiteLLM's table leaves that out of one model."""
    sonnet = shipped_prices().of("anthropic", "claude-sonnet-4-20250514")
    assert sonnet
    assert sonnet.of(200_001) == Price(6.0, 22.5, 7.5, 0.6, 12.0)
