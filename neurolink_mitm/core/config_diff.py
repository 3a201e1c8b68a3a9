"""What is different between two configurations, in lines for the log: no secret is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from neurolink_mitm.core.config import Config
from neurolink_mitm.core.config_faults import Loc, path
from neurolink_mitm.core.config_flat import flat, told
from neurolink_mitm.core.config_values import AccountConfig

Values = dict[Loc, object]


def differences(old: Config, new: Config) -> tuple[str, ...]:
    """`routing.strategy: "fill-first" -> "round-robin"`, a line a value; accounts go by their names."""
    before, after = _by_name(old), _by_name(new)
    stay = [name for name in before if name in after]
    return (
        *_changed(_values(old), _values(new)),
        *(f"{_account(name)}: added" for name in after if name not in before),
        *(f"{_account(name)}: removed" for name in before if name not in after),
        *(line for name in stay for line in _account_changes(before[name], after[name])),
        *_order(stay, [name for name in after if name in before]),
    )


def changed_variables(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """The names of variables that are there no more, are new, or have another value."""
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _changed(before: Values, after: Values) -> Iterator[str]:
    for loc in dict.fromkeys((*before, *after)):
        old, new = before.get(loc), after.get(loc)
        if old != new:
            yield f"{path(loc)}: {told(old)} -> {told(new)}"


def _account_changes(old: AccountConfig, new: AccountConfig) -> Iterator[str]:
    at = ("accounts", "anthropic", old.name)
    return _changed(dict(flat(old, at)), dict(flat(new, at)))


def _order(before: list[str], after: list[str]) -> Iterator[str]:
    if before != after:
        yield f"accounts.anthropic: order {told(before)} -> {told(after)}"


def _values(config: Config) -> Values:
    """All but the accounts, which have an order of their own."""
    return {loc: value for loc, value in flat(config) if loc[0] != "accounts"}


def _by_name(config: Config) -> dict[str, AccountConfig]:
    return {account.name: account for account in config.accounts}


def _account(name: str) -> str:
    return path(("accounts", "anthropic", name))
