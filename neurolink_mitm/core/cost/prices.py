"""Prices: what a response costs, by its model and its tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from neurolink_mitm.core.pool.accounts import ANTHROPIC
from neurolink_mitm.core.response.usage import TokenUsage
from neurolink_mitm.core.settings.values import ModelPrice

LITELLM_FIELDS = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_creation_input_token_cost",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
)
"""LiteLLM's names of the columns of a row, in this order."""
PRICE_KINDS = ("input", "output", "cache_write", "cache_read", "cache_write_1h")
"""The fields of `Price` in the same order."""
WEB_SEARCH = 0.01
"""USD a search at Anthropic: https://platform.claude.com/docs/en/about-claude/pricing#web-search-tool"""
_MILLION = 1_000_000
_DATE = re.compile(r"-\d{8}$|-latest$")
_BRACKETS = re.compile(r"\[[^\]]*\]$")


PriceRow = Sequence[float | None] | Mapping[str, Any]
"""Numbers in the order of `LITELLM_FIELDS`, the last of which may be missing; or with surcharges:
`{"price": numbers, "above": {tokens: numbers}, "fast": 2.0, "regions": {"us": 1.1}}`."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD for a million tokens of each kind."""

    input: float
    output: float
    cache_write: float
    cache_read: float
    cache_write_1h: float
    above: tuple[tuple[int, Price], ...] = ()
    """(tokens, price) of requests whose prompt has more tokens, cached or not; the largest first."""
    fast: float = 1.0
    """Factor of fast mode."""
    regions: Mapping[str, float] = field(default_factory=dict)
    """Factors of inference that is restricted to a region."""

    def of(self, prompt_tokens: int) -> Price:
        """Return the price of a request with such a prompt."""
        return next((price for tokens, price in self.above if prompt_tokens > tokens), self)


class Prices:
    """A table of prices: provider → model → row. The user's own prices, by wildcard of the model, come first."""

    def __init__(
        self,
        table: Mapping[str, Mapping[str, PriceRow]],
        own: Mapping[str, ModelPrice] = MappingProxyType({}),
    ) -> None:
        self._table = table
        self._own = own
        self._cached = lru_cache(maxsize=256)(self._find)

    def overridden(self, own: Mapping[str, ModelPrice]) -> Prices:
        """Return the same table with `own` as the user's prices."""
        return Prices(self._table, own)

    def of(self, provider: str, model: str) -> Price | None:
        """Return the price of a model; a Claude model that is not in the table has the dearest one's."""
        return self._cached(provider, model)

    def _find(self, provider: str, model: str) -> Price | None:
        listed = self._listed(provider, model)
        own = self._own_price(model) if self._own else None
        return listed if own is None else _completed(own, listed)

    def _own_price(self, model: str) -> ModelPrice | None:
        names = _names(model)
        exact = (self._own[name] for name in names if name in self._own)
        wild = (
            price
            for pattern, price in self._own.items()
            if any(fnmatchcase(name, pattern) for name in names)
        )
        return next(exact, None) or next(wild, None)

    def _listed(self, provider: str, model: str) -> Price | None:
        models = self._table.get(provider, {})
        for name in _names(model):
            if name in models:
                return _price(models[name])
        if provider == ANTHROPIC and models:
            return max(map(_price, models.values()), key=lambda price: price.output)
        return None

    def cost(self, provider: str, model: str, usage: TokenUsage) -> float | None:
        """Return the USD that a response costs; None if its price or its tokens are unknown."""
        price = self.of(provider, model)
        if price is None or (usage.input_tokens is None and usage.output_tokens is None):
            return None
        factor = price.regions.get(usage.inference_geo or "", 1.0)
        factor *= price.fast if usage.speed == "fast" else 1.0
        plain, read = usage.input_tokens or 0, usage.cache_read_tokens or 0
        written = usage.cache_creation_tokens or 0
        written_1h = min(written, usage.cache_creation_1h_tokens or 0)
        price = price.of(plain + written + read)
        total = (
            plain * price.input
            + (usage.output_tokens or 0) * price.output
            + (written - written_1h) * price.cache_write
            + written_1h * price.cache_write_1h
            + read * price.cache_read
        )
        searches = (usage.web_search_requests or 0) * WEB_SEARCH if provider == ANTHROPIC else 0
        return round(total * factor / _MILLION + searches, 9)


def _names(model: str) -> Sequence[str]:
    """Return the name as it is, without a context size in brackets, and without its date."""
    bare = _BRACKETS.sub("", model)
    return (model, bare, _DATE.sub("", bare))


def _completed(own: ModelPrice, listed: Price | None) -> Price:
    """Fill in what the user left out, in proportion to the table; without a row, caching costs as much as input."""
    shares = listed if listed and listed.input else Price(1, 1, 1, 1, 1)
    scale = own.input / shares.input

    def filled(cost: float | None, share: float) -> float:
        return share * scale if cost is None else cost

    price = Price(
        own.input,
        own.output,
        filled(own.cache_write_5m, shares.cache_write),
        filled(own.cache_read, shares.cache_read),
        filled(own.cache_write_1h, shares.cache_write_1h),
    )
    above = tuple((tokens, _raised(price, shares, more)) for tokens, more in shares.above)
    return replace(price, above=above, fast=shares.fast, regions=shares.regions)


def _raised(price: Price, listed: Price, more: Price) -> Price:
    """Raise `price` as `more` raises the listed one, by each kind of token."""
    return Price(
        *(
            getattr(price, kind) * getattr(more, kind) / (getattr(listed, kind) or 1.0)
            for kind in PRICE_KINDS
        )
    )


def _price(row: PriceRow) -> Price:
    if not isinstance(row, Mapping):
        return _kinds(row)
    price = _kinds(row["price"])
    above = sorted(
        ((int(n), _more(price, each)) for n, each in row.get("above", {}).items()), reverse=True
    )
    fast, regions = row.get("fast", 1.0), row.get("regions", {})
    return replace(price, above=tuple(above), fast=fast, regions=regions)


def _kinds(row: Sequence[float | None]) -> Price:
    """Where a row has no price of caching, that costs as much as other input."""
    input_, output, write, read, write_1h = (*row, *[None] * len(LITELLM_FIELDS))[
        : len(LITELLM_FIELDS)
    ]
    plain = input_ or 0.0
    write = plain if write is None else write
    return Price(
        plain,
        output or 0.0,
        write,
        plain if read is None else read,
        write if write_1h is None else write_1h,
    )


def _more(price: Price, row: Sequence[float | None]) -> Price:
    """Where a row has no price of caching, that grows as input does."""
    listed = {kind: cost for kind, cost in zip(PRICE_KINDS, row, strict=False) if cost is not None}
    growth = (listed.get("input") or price.input) / (price.input or 1.0)
    grown = {
        kind: getattr(price, kind) * (1.0 if kind == "output" else growth) for kind in PRICE_KINDS
    }
    return Price(**grown | listed)
