"""What is different between two configurations, in lines for the log: no secret is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass

from neurolink_mitm.core.config import Config
from neurolink_mitm.core.config_faults import Loc, path, shown, spellings
from neurolink_mitm.core.config_values import AccountConfig
from neurolink_mitm.core.secret import STARS, Secret

MOST = 5
"""Entries of a list that are shown."""

Values = dict[Loc, object]


def differences(old: Config, new: Config) -> tuple[str, ...]:
    """`routing.strategy: "fill-first" -> "round-robin"`, a line a value; accounts go by their names."""
    before, after = _by_name(old), _by_name(new)
    stay = [name for name in before if name in after]
    return (
        *_changed(dict(_flat(old, ())), dict(_flat(new, ()))),
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
    return _changed(dict(_flat(old, at)), dict(_flat(new, at)))


def _order(before: list[str], after: list[str]) -> Iterator[str]:
    if before != after:
        yield f"accounts.anthropic: order {told(before)} -> {told(after)}"


def _flat(value: object, loc: Loc) -> Iterator[tuple[Loc, object]]:
    """Every single value, with its place. Accounts have an order of their own, and are left out."""
    if is_dataclass(value):
        for field in fields(value):
            if (loc, field.name) != ((), "accounts"):
                yield from _flat(getattr(value, field.name), (*loc, spellings(field.name)[0]))
    elif isinstance(value, Mapping) and loc[-1] != "metadata":  # the user's own notes
        for key, item in value.items():
            yield from _flat(item, (*loc, str(key)))
    else:
        yield loc, value


def told(value: object) -> str:
    """A value as the log may show it."""
    if isinstance(value, Secret):
        return STARS
    if isinstance(value, tuple | list):
        entries = [told(item) for item in value[:MOST]]
        more = [f"… {len(value)} in all"] if len(value) > MOST else []
        return f"[{', '.join([*entries, *more])}]"
    if is_dataclass(value):
        pairs = ((spellings(f.name)[0], getattr(value, f.name)) for f in fields(value))
        return f"{{{', '.join(f'{name}: {told(item)}' for name, item in pairs)}}}"
    return f"{value:g}" if isinstance(value, float) else shown(value)


def _by_name(config: Config) -> dict[str, AccountConfig]:
    return {account.name: account for account in config.accounts}


def _account(name: str) -> str:
    return path(("accounts", "anthropic", name))
