"""What is said of a configuration that can be served, but not as its owner may think."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.core.cost.budget import unpriced
from neurolink_mitm.core.pool.accounts import (
    Account,
    missing_in_order,
    missing_primary,
    unused_settings,
)
from neurolink_mitm.core.settings.errors import format_value
from neurolink_mitm.core.settings.values import Config


def unmet(config: Config, accounts: Sequence[Account]) -> Iterator[str]:
    """Yield what the configuration says of accounts that do not exist."""
    for name in unused_settings(config, accounts):
        yield f"accounts.anthropic: {format_value(name)} has no apiKey, and no login of that name is stored"
    if primary := missing_primary(config, accounts):
        near = get_close_matches(primary, [each.label for each in accounts], n=1)
        hint = f", did you mean {format_value(near[0])}?" if near else ""
        yield f"routing.primary-account: no account is called {format_value(primary)}{hint}"
    for label in missing_in_order(config, accounts):
        yield f"routing.account-order: no account is called {format_value(label)}"


def keyless(others: Sequence[Account]) -> Iterator[str]:
    """Yield the fallbacks that lack what they need."""
    for entry in others:
        if entry.model and entry.disabled:
            yield f"{entry.key} will not be asked: {entry.disabled}"


def unpriced_entries(config: Config, others: Sequence[Account]) -> Iterator[str]:
    """Yield the entries that a daily cap rules out, as their price is unknown."""
    if config.routing.daily_cap_usd is None:
        return
    unknown = unpriced(others, shipped_prices().overridden(config.prices))
    for entry in others:
        if entry.key in unknown and not entry.disabled:
            yield (
                f"{entry.key} will not be asked: routing.daily-cap-usd is set, and its price is unknown:"
                f" set prices.{format_value(entry.model)}"
            )
