"""What an answer costs, by its model and its tokens."""

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

FIELDS = (
    "input_cost_per_token",
    "output_cost_per_token",
    "cache_creation_input_token_cost",
    "cache_read_input_token_cost",
    "cache_creation_input_token_cost_above_1hr",
)
"""LiteLLM's names of what a row of the table holds, in this order."""
KINDS = ("input", "output", "cache_write", "cache_read", "cache_write_1h")
"""Ours."""
WEB_SEARCH = 0.01
"""USD, by Anthropic, with whatever model: https://platform.claude.com/docs/en/about-claude/pricing#web-search-tool"""
_MILLION = 1_000_000
_DATE = re.compile(r"-\d{8}$|-latest$")
_BRACKETS = re.compile(r"\[[^\]]*\]$")


Row = Sequence[float | None] | Mapping[str, Any]
"""Numbers in the order of `FIELDS`, the last of which may be missing; or what there is beside them, too:
`{"price": numbers, "above": {tokens: numbers}, "fast": 2.0, "regions": {"us": 1.1}}`."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD for a million tokens, by what they were."""

    input: float
    output: float
    cache_write: float
    cache_read: float
    cache_write_1h: float
    above: tuple[tuple[int, Price], ...] = ()
    """What a request costs as a whole whose prompt has more tokens than that, cached or not; the largest first."""
    fast: float = 1.0
    """How many times as much a fast answer costs."""
    regions: Mapping[str, float] = field(default_factory=dict)
    """How many times as much one costs that was held to such a region."""

    def of(self, prompt_tokens: int) -> Price:
        """That of a request by the size of its prompt."""
        return next((price for tokens, price in self.above if prompt_tokens > tokens), self)


class Prices:
    """A table of prices: provider → model → row.

    The user's own go before it, by the model's name (wildcards), whoever provides the model.
    """

    def __init__(
        self,
        table: Mapping[str, Mapping[str, Row]],
        own: Mapping[str, ModelPrice] = MappingProxyType({}),
    ) -> None:
        self._table = table
        self._own = own
        self._found = lru_cache(maxsize=256)(self._find)

    def overridden(self, own: Mapping[str, ModelPrice]) -> Prices:
        """The same table, with these prices of the user's and no others."""
        return Prices(self._table, own)

    def of(self, provider: str, model: str) -> Price | None:
        """The user's, or that of the table; of a Claude model that is too new for it, the dearest of Anthropic's."""
        return self._found(provider, model)

    def _find(self, provider: str, model: str) -> Price | None:
        listed = self._listed(provider, model)
        own = self._own_price(model) if self._own else None
        return listed if own is None else _completed(own, listed)

    def _own_price(self, model: str) -> ModelPrice | None:
        """An exact name before wildcards."""
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
        """USD for an answer; None where its price is not known, or it told no tokens."""
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
    """As it is, without a context size in brackets, and without its date."""
    bare = _BRACKETS.sub("", model)
    return (model, bare, _DATE.sub("", bare))


def _completed(own: ModelPrice, listed: Price | None) -> Price:
    """What is not told is in proportion as in the table; where that is silent, caching costs as much as input."""
    shares = listed if listed and listed.input else Price(1, 1, 1, 1, 1)
    scale = own.input / shares.input

    def told(cost: float | None, share: float) -> float:
        return share * scale if cost is None else cost

    price = Price(
        own.input,
        own.output,
        told(own.cache_write_5m, shares.cache_write),
        told(own.cache_read, shares.cache_read),
        told(own.cache_write_1h, shares.cache_write_1h),
    )
    above = tuple((tokens, _as_much_more(price, shares, more)) for tokens, more in shares.above)
    return replace(price, above=above, fast=shares.fast, regions=shares.regions)


def _as_much_more(price: Price, listed: Price, more: Price) -> Price:
    """What `price` comes to where the listed one comes to `more`, by each kind of token."""
    return Price(
        *(
            getattr(price, kind) * getattr(more, kind) / (getattr(listed, kind) or 1.0)
            for kind in KINDS
        )
    )


def _price(row: Row) -> Price:
    if not isinstance(row, Mapping):
        return _kinds(row)
    price = _kinds(row["price"])
    above = sorted(
        ((int(n), _more(price, said)) for n, said in row.get("above", {}).items()), reverse=True
    )
    fast, regions = row.get("fast", 1.0), row.get("regions", {})
    return replace(price, above=tuple(above), fast=fast, regions=regions)


def _kinds(row: Sequence[float | None]) -> Price:
    """What is not told of caching is taken to cost as much as input that is not cached."""
    told = dict(zip(FIELDS, row, strict=False))
    input_, output, write, read, write_1h = (told.get(name) for name in FIELDS)
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
    """What is not told of caching grows as input does."""
    told = dict(zip(KINDS, row, strict=False))
    grown = (told.get("input") or price.input) / (price.input or 1.0)
    found = {kind: getattr(price, kind) * (1.0 if kind == "output" else grown) for kind in KINDS}
    return Price(**found | {kind: cost for kind, cost in told.items() if cost is not None})
