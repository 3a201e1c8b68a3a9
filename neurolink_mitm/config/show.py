"""A configuration as lines and as JSON, with the origin of each value, and the differences of two; secrets masked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from neurolink_mitm.core.redact.secret import MASK, Secret
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.core.settings.errors import (
    Loc,
    format_value,
    path,
    spellings,
    without_credentials,
)
from neurolink_mitm.core.settings.values import AccountConfig, Config

MOST = 5
"""Entries of a list in a line at most."""
DEFAULT, FILE = "default", "file"

_VARIABLES = re.compile(r"(?<!\$)\$\{(\w+)")

Values = dict[Loc, object]


def values_in(value: object, loc: Loc = ()) -> Iterator[tuple[Loc, object]]:
    """Yield every single value below a section, keys in camelCase. A list is one value, also one of sections."""
    if is_dataclass(value):
        for field in fields(value):
            item = getattr(value, field.name)
            if field.metadata.get("private") and item is not None:
                item = Secret(item) if isinstance(item, str) else tuple(map(Secret, item))
            yield from values_in(item, (*loc, spellings(field.name)[0]))
    elif isinstance(value, Mapping) and value and loc[-1] != "metadata":  # the user's own notes
        for key, item in value.items():
            yield from values_in(item, (*loc, str(key)))
    else:
        yield loc, value


def format_setting(value: object, text: Callable[[str], str] = format_value) -> str:
    """Return a value as a line; `text` quotes and masks texts."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping) and not value:
        return "{}"
    if isinstance(value, tuple | list):
        entries = [format_setting(item, text) for item in value[:MOST]]
        more = [f"… {len(value)} in all"] if len(value) > MOST else []
        return f"[{', '.join([*entries, *more])}]"
    if is_dataclass(value):
        pairs = ((spellings(f.name)[0], getattr(value, f.name)) for f in fields(value))
        return f"{{{', '.join(f'{name}: {format_setting(item, text)}' for name, item in pairs)}}}"
    return f"{value:g}" if isinstance(value, float) else format_value(value)


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """One value in force. `origin` is `default`, `file`, or `file: ${VAR}`."""

    path: str
    value: str
    origin: str


def effective(config: Config, document: object) -> Iterator[EffectiveValue]:
    """Yield all values in force. `document` is the file before `${VAR}` was resolved."""
    for index, account in enumerate(config.accounts):
        yield from _effective(account, ("accounts", "anthropic", index), document)
    yield from _effective(replace(config, accounts=()), (), document)


def _effective(section: object, at: Loc, document: object) -> Iterator[EffectiveValue]:
    for loc, value in values_in(section, at):
        if loc != ("accounts",):
            yield EffectiveValue(path(loc), format_setting(value, quote), origin(document, loc))


def origin(document: object, loc: Loc) -> str:
    """Return where the value at `loc` (keys in camelCase) comes from."""
    for part in loc:
        if not isinstance(document, dict | list):
            break  # `sessionIdentity: true` says what its `enabled` is
        document = _step(document, part)
    if document is None:
        return DEFAULT
    names = dict.fromkeys(_VARIABLES.findall(str(document)))
    return f"{FILE}: {', '.join(f'${{{name}}}' for name in names)}" if names else FILE


def _step(document: dict[object, object] | list[object], part: str | int) -> object:
    if isinstance(document, list):
        return document[part] if isinstance(part, int) else None
    return next((document[key] for key in document if part in (key, _camel(key))), None)


def _camel(key: object) -> str:
    return re.sub("-(.)", lambda match: match[1].upper(), str(key))


def as_json(value: object) -> object:
    """Return a value as JSON has it: keys in camelCase, secrets masked."""
    if isinstance(value, Config):
        made = _section(value)
        return {**made, "accounts": {"anthropic": made["accounts"]}}
    if isinstance(value, Secret):
        return MASK
    if is_dataclass(value):
        return _section(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    return mask_text(value) if isinstance(value, str) else value


def _section(value: object) -> dict[str, object]:
    assert is_dataclass(value)
    return {spellings(f.name)[0]: as_json(getattr(value, f.name)) for f in fields(value)}


def mask_text(text: str) -> str:
    """Mask whatever looks like a key, and a URL's password: a key may stand in the wrong place."""
    return redact(without_credentials(text) if "://" in text else text)


def quote(text: str) -> str:
    return json.dumps(mask_text(text), ensure_ascii=False)


def differences(old: Config, new: Config) -> tuple[str, ...]:
    """Return a line a changed value: `routing.strategy: "fill-first" -> "round-robin"`; accounts go by name."""
    before, after = _by_name(old), _by_name(new)
    stay = [name for name in before if name in after]
    changed = [name for name in stay if before[name] != after[name]]
    return (
        *_changed(_values(old), _values(new)),
        *(f"{_account(name)}: added" for name in after if name not in before),
        *(f"{_account(name)}: removed" for name in before if name not in after),
        *(line for name in changed for line in _account_changes(before[name], after[name])),
        *_order(stay, [name for name in after if name in before]),
    )


def changed_values(old: Config, new: Config) -> tuple[dict[str, object], dict[str, object]]:
    """Return the changed values before and after, as JSON has them, by path; accounts go by name."""
    before, after = _flat(old), _flat(new)
    paths = [at for at in {**before, **after} if before.get(at) != after.get(at)]
    return (
        {at: as_json(before[at]) for at in paths if at in before},
        {at: as_json(after[at]) for at in paths if at in after},
    )


def _flat(config: Config) -> dict[str, object]:
    values = _values(config)
    for account in config.accounts:
        values |= dict(values_in(account, ("accounts", "anthropic", account.name)))
    return {path(loc): value for loc, value in values.items()}


def changed_variables(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of variables that are gone, are new, or have another value."""
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _changed(before: Values, after: Values) -> Iterator[str]:
    for loc in dict.fromkeys((*before, *after)):
        old, new = before.get(loc), after.get(loc)
        if old != new:
            yield f"{path(loc)}: {format_setting(old)} -> {format_setting(new)}"


def _account_changes(old: AccountConfig, new: AccountConfig) -> Iterator[str]:
    at = ("accounts", "anthropic", old.name)
    return _changed(dict(values_in(old, at)), dict(values_in(new, at)))


def _order(before: list[str], after: list[str]) -> Iterator[str]:
    if before != after:
        yield f"accounts.anthropic: order {format_setting(before)} -> {format_setting(after)}"


def _values(config: Config) -> Values:
    """Return all values but those of the accounts, whose order may change."""
    return {loc: value for loc, value in values_in(config) if loc[0] != "accounts"}


def _by_name(config: Config) -> dict[str, AccountConfig]:
    return {account.name: account for account in config.accounts}


def _account(name: str) -> str:
    return path(("accounts", "anthropic", name))


def show_report(path: str | None, config: Config, document: object) -> dict[str, object]:
    """Return what is in force, as JSON has it, and the origin of each value."""
    origins = {row.path: row.origin for row in effective(config, document)}
    return {"path": path, "config": as_json(config), "origins": origins}
