from __future__ import annotations

import pytest

from neurolink_mitm.core.cost.prices import Price, Prices
from neurolink_mitm.core.response.usage import TokenUsage
from neurolink_mitm.core.settings.values import ModelPrice

TABLE = Prices(
    {
        "anthropic": {
            "claude-haiku-4-5": [1.0, 5.0, 1.25, 0.1, 2.0],
            "claude-opus-4-6": [5.0, 25.0, 6.25, 0.5],
        },
        "openai": {"gpt-x": [2.0, 8.0]},
        "grown": {
            "long": {
                "price": [1.0, 4.0, 2.0, 0.1, 3.0],
                "above": {"1000": [2.0, 6.0, 4.0, 0.2], "9000": [5.0]},
            },
            "fast": {"price": [1.0, 4.0], "fast": 3.0, "regions": {"us": 1.5}},
        },
    }
)


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("anthropic", "claude-haiku-4-5", Price(1, 5, 1.25, 0.1, 2)),
        ("anthropic", "claude-haiku-4-5-20251001", Price(1, 5, 1.25, 0.1, 2)),
        ("anthropic", "claude-haiku-4-5[1m]", Price(1, 5, 1.25, 0.1, 2)),
        ("anthropic", "claude-unheard-of", Price(5, 25, 6.25, 0.5, 6.25)),
        ("openai", "gpt-x", Price(2, 8, 2, 2, 2)),
        ("openai", "gpt-9", None),
        ("nobody", "gpt-x", None),
    ],
    ids=["listed", "dated", "bracketed", "too-new", "caching-untold", "unknown", "provider"],
)
def test_the_price_of_a_model(provider: str, model: str, price: Price | None) -> None:
    assert TABLE.of(provider, model) == price


def test_every_kind_of_token_has_its_price() -> None:
    usage = TokenUsage(
        input_tokens=1_000_000,
        output_tokens=100_000,
        cache_creation_tokens=300_000,
        cache_creation_1h_tokens=100_000,
        cache_read_tokens=2_000_000,
    )
    # 1.00 + 0.50 + 0.2 * 1.25 + 0.1 * 2 + 2 * 0.10
    assert TABLE.cost("anthropic", "claude-haiku-4-5", usage) == pytest.approx(2.15)


def test_an_answer_that_told_no_tokens_has_no_price() -> None:
    assert TABLE.cost("openai", "gpt-x", TokenUsage()) is None


def test_nor_has_one_of_an_unknown_model() -> None:
    assert TABLE.cost("openai", "gpt-9", TokenUsage(input_tokens=1)) is None


# --- what grows with a request, or is multiplied


@pytest.mark.parametrize(
    ("prompt", "price"),
    [
        (1000, Price(1, 4, 2, 0.1, 3)),
        (1001, Price(2, 6, 4, 0.2, 6)),  # an hour costs twice as much as well
        (9000, Price(2, 6, 4, 0.2, 6)),
        (9001, Price(5, 4, 10, 0.5, 15)),
    ],
)
def test_long_prompts_cost_more_as_a_whole(prompt: int, price: Price) -> None:
    listed = TABLE.of("grown", "long")
    assert listed
    found = listed.of(prompt)
    kinds = (found.input, found.output, found.cache_write, found.cache_read, found.cache_write_1h)
    assert Price(*kinds) == price


def test_a_prompt_is_as_long_as_all_of_it() -> None:
    short = TokenUsage(
        input_tokens=1, cache_creation_tokens=500, cache_read_tokens=499, output_tokens=1
    )
    assert TABLE.cost("grown", "long", short) == pytest.approx((1 + 1000 + 49.9 + 4) / 1e6)
    longer = TokenUsage(input_tokens=2, cache_creation_tokens=500, cache_read_tokens=499, output_tokens=1)  # fmt: skip
    assert TABLE.cost("grown", "long", longer) == pytest.approx((4 + 2000 + 99.8 + 6) / 1e6)


@pytest.mark.parametrize(
    ("speed", "geo", "times"),
    [
        (None, None, 1.0),
        ("standard", "global", 1.0),
        ("fast", None, 3.0),
        (None, "us", 1.5),
        ("fast", "us", 4.5),
        ("us", "fast", 1.0),
    ],
)
def test_speed_and_region_multiply(speed: str | None, geo: str | None, times: float) -> None:
    usage = TokenUsage(input_tokens=1_000_000, output_tokens=0, speed=speed, inference_geo=geo)
    assert TABLE.cost("grown", "fast", usage) == pytest.approx(times)


def test_a_price_of_ones_own_grows_as_the_listed_one() -> None:
    """And what is told of it stays the base of that."""
    own = TABLE.overridden({"long": ModelPrice(0.5, 8, cache_read=0.25), "fast": ModelPrice(2, 4)})
    long = own.of("grown", "long")
    assert long
    found = long.of(1001)
    assert found == Price(1.0, 12.0, 2.0, 0.5, 3.0)
    usage = TokenUsage(input_tokens=1_000_000, output_tokens=0, speed="fast")
    assert own.cost("grown", "fast", usage) == pytest.approx(6.0)


# --- the user's own

OWN = TABLE.overridden(
    {
        "gpt-*": ModelPrice(9, 9),
        "gpt-x": ModelPrice(1, 3, cache_read=0.5),
        "gpt-xl": ModelPrice(0, 0),
        "claude-haiku-4-5": ModelPrice(2, 4, cache_write_5m=7),
        "claude-unheard-*": ModelPrice(10, 20),
        "mine": ModelPrice(1, 2, cache_read=3, cache_write_5m=4, cache_write_1h=5),
    }
)


@pytest.mark.parametrize(
    ("provider", "model", "price"),
    [
        ("nobody", "mine", Price(1, 2, cache_read=3, cache_write=4, cache_write_1h=5)),
        ("openai", "gpt-x", Price(1, 3, 1, 0.5, 1)),
        ("openai", "gpt-9", Price(9, 9, 9, 9, 9)),
        ("openai", "gpt-xl", Price(0, 0, 0, 0, 0)),
        ("anthropic", "claude-haiku-4-5-20251001", Price(2, 4, 7, 0.2, 4)),
        ("anthropic", "claude-unheard-of", Price(10, 20, 12.5, 1, 12.5)),
        ("anthropic", "claude-opus-4-6", Price(5, 25, 6.25, 0.5, 6.25)),
        ("nobody", "yours", None),
    ],
    ids=["unlisted", "exact-first", "wildcard", "free", "dated", "too-new", "not-mine", "unknown"],
)
def test_a_price_of_the_users_own_goes_first(
    provider: str, model: str, price: Price | None
) -> None:
    assert OWN.of(provider, model) == price


def test_prices_that_were_taken_out_again_are_those_of_the_table() -> None:
    assert OWN.overridden({}).of("openai", "gpt-x") == TABLE.of("openai", "gpt-x")


def test_every_kind_of_token_has_its_own_price() -> None:
    usage = TokenUsage(
        input_tokens=1_000_000,
        output_tokens=1_000_000,
        cache_creation_tokens=3_000_000,
        cache_creation_1h_tokens=1_000_000,
        cache_read_tokens=1_000_000,
    )
    # 1 + 2 + 2 * 4 + 1 * 5 + 3
    assert OWN.cost("nobody", "mine", usage) == pytest.approx(19.0)


def test_searches_cost_beside_the_tokens() -> None:
    usage = TokenUsage(input_tokens=1_000_000, output_tokens=0, web_search_requests=3)
    assert TABLE.cost("anthropic", "claude-haiku-4-5", usage) == pytest.approx(1.03)
    assert TABLE.cost("openai", "gpt-x", usage) == pytest.approx(2.0)
