"""Checks a parsed document, and returns the configuration as typed values, or all its faults.

In `core/settings/`, `values` has the sections, `types` the checks of single values, `errors` the texts of faults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from itertools import chain, count
from typing import Any, Literal, get_args, get_origin

from neurolink_mitm.config.cluster_checks import cluster_faults
from neurolink_mitm.config.interpolation import only_references, resolve_all
from neurolink_mitm.config.notice_checks import notice_faults, notice_warnings
from neurolink_mitm.config.provider_checks import (
    provider_faults,
    provider_warnings,
    with_canonical_names,
)
from neurolink_mitm.core.settings.errors import (
    ConfigError,
    ConfigFault,
    Loc,
    format_value,
    path,
    position,
    spelled,
    spellings,
    value_at,
)
from neurolink_mitm.core.settings.section import Options
from neurolink_mitm.core.settings.types import NotEmpty, ValueType, hints, plain
from neurolink_mitm.core.settings.values import UNNAMED, Config, ConfigFile


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration without faults, and warnings for its author."""

    config: Config
    warnings: tuple[str, ...] = ()


def parse(document: object, env: Mapping[str, str]) -> LoadedConfig:
    """Check a parsed YAML or JSON document (None: an empty file) and resolve `${VAR}` from `env`.

    Raises `ConfigError` with every fault at once.
    """
    document = {} if document is None else document
    resolved, faults = resolve_all(document, env)
    resolved = _named(resolved)
    reader = _Reader(document)
    file = reader.value(ConfigFile, resolved, ())
    # a reference that can't be resolved is one fault, not also a wrong value
    unresolved = {fault.loc for fault in faults}
    found = (
        *reader.faults,
        *_duplicates(resolved),
        *provider_faults(resolved),
        *notice_faults(resolved),
        *cluster_faults(getattr(file, "cluster", None)),
    )
    wrong = [fault for fault in found if fault.loc not in unresolved]
    if faults or wrong:
        every = sorted((*faults, *wrong), key=lambda fault: position(document, fault.loc))
        raise ConfigError(*map(str, every))
    common = {item.name: getattr(file, item.name) for item in fields(ConfigFile)}
    config = with_canonical_names(Config(**common | {"accounts": file.accounts.anthropic}))
    return LoadedConfig(config, tuple(map(str, _warnings(config, document))))


class _Reader:
    """Reads values by their types, and goes on after a fault: results count only if there were none."""

    def __init__(self, document: object) -> None:
        self.faults: list[ConfigFault] = []
        self._document = document
        """Before `${VAR}` was resolved."""

    def value(self, hint: Any, value: object, loc: Loc) -> Any:
        hint, notes = plain(hint)
        kind = next((note for note in notes if isinstance(note, ValueType)), None)
        if kind:
            return self._single(kind, value, loc)
        if is_dataclass(hint):
            assert isinstance(hint, type)
            return self._section(hint, value, loc)
        match get_origin(hint), get_args(hint):
            case origin, (item, *_) if origin is tuple:
                return self._list(item, any(isinstance(n, NotEmpty) for n in notes), value, loc)
            case origin, (_, item) if origin is Mapping:
                return self._mapping(item, value, loc)
            case origin, choices if origin is Literal:
                return self._choice(choices, value, loc)
        return value  # of any type

    def _single(self, kind: ValueType, value: object, loc: Loc) -> object:
        try:
            return kind.read(value)
        except ValueError as e:
            self._fault(loc, str(e), secret=kind.secret)
        return None

    def _choice(self, choices: tuple[object, ...], value: object, loc: Loc) -> object:
        if value is False and "off" in choices:  # YAML 1.1 reads a bare `off` as false
            return "off"
        if value in choices:
            return choices[choices.index(value)]  # 1 for 1.0
        listed = ", ".join(map(str, choices))
        self._fault(loc, f"must be {'one of ' * (len(choices) > 1)}{listed}")
        return None

    def _list(self, item: Any, filled: bool, value: object, loc: Loc) -> tuple[object, ...]:
        if not isinstance(value, list):
            self._fault(loc, "must be a list")
        elif filled and not value:
            self.faults.append(ConfigFault(loc, "must not be empty"))
        else:
            return tuple(self.value(item, each, (*loc, n)) for n, each in enumerate(value))
        return ()

    def _mapping(self, item: Any, value: object, loc: Loc) -> Mapping[str, object]:
        if isinstance(value, dict):
            return {key: self.value(item, each, (*loc, key)) for key, each in value.items()}
        self._fault(loc, "must be a mapping of keys and values")
        return {}

    def _section(self, section: type, value: object, loc: Loc) -> Any:
        if issubclass(section, Options):
            value = _options(value)
        if not isinstance(value, dict):
            options = "true, false or a mapping of options"
            plugin = issubclass(section, Options)
            self._fault(loc, f"must be {options if plugin else 'a mapping of keys and values'}")
            return None
        given: dict[str, Any] = {}
        rest = dict.fromkeys(value)
        for field in fields(section):
            key = next((key for key in spellings(field.name) if key in value), None)
            if key is not None:
                del rest[key]
                hint = hints(section)[field.name]
                given[field.name] = self.value(hint, value[key], (*loc, key))
            elif _required(field):
                self.faults.append(ConfigFault((*loc, spellings(field.name)[0]), "is required"))
                given[field.name] = None
        self.faults += [ConfigFault((*loc, key), _unexpected(key, section)) for key in rest]
        return section(**given)

    def _fault(self, loc: Loc, text: str, *, secret: bool = False) -> None:
        """Add a fault with the value as it stands in the file; if `secret`, only a `${VAR}` is shown."""
        raw = value_at(self._document, loc)
        if not secret or (isinstance(raw, str) and _REFERENCE.fullmatch(raw)):
            text = f"{text}, got {format_value(raw)}"
        self.faults.append(ConfigFault(loc, text))


_REFERENCE = re.compile(r"\$\{\w+\}")


def _options(value: object) -> object:
    """Return a plugin's options as a mapping; in the file they may be true or false, and any option means true."""
    match value:
        case bool() | "true" | "false":  # the texts come from variables
            return {"enabled": value}
        case dict():
            return {"enabled": True, **value} if value else value
    return None


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _unexpected(key: str, section: type) -> str:
    both = [spellings(field.name) for field in fields(section)]
    if twin := next((twin for twin in both if key in twin), None):
        return f'is given twice, as "{twin[0]}" and as "{twin[1]}": leave one'
    near = get_close_matches(key, [spelling for twin in both for spelling in twin], n=1)
    if near:
        return f'unknown key, did you mean "{near[0]}"?'
    return f"unknown key, known here: {', '.join(twin[0] for twin in both)}"


def _named(resolved: object) -> object:
    """Return the document with names for accounts without one: `unnamed`, `unnamed-2`, …"""
    accounts = value_at(resolved, ("accounts", "anthropic"))
    if not isinstance(accounts, list) or not isinstance(resolved, dict):
        return resolved
    taken = [value_at(account, ("name",)) for account in accounts]
    names = chain((UNNAMED,), (f"{UNNAMED}-{number}" for number in count(2)))
    free = (name for name in names if name not in taken)
    named = [
        {"name": next(free), **each} if isinstance(each, dict) and "name" not in each else each
        for each in accounts
    ]
    return {**resolved, "accounts": {**resolved["accounts"], "anthropic": named}}


def account_names(document: object, env: Mapping[str, str]) -> list[str]:
    """Return the names of the accounts in a document, one an entry; what is no entry has the name ``."""
    accounts = value_at(_named(resolve_all(document, env)[0]), ("accounts", "anthropic"))
    names = (value_at(each, ("name",)) for each in accounts) if isinstance(accounts, list) else ()
    return [name if isinstance(name, str) else "" for name in names]


def _duplicates(resolved: object) -> Iterator[ConfigFault]:
    """Yield account names that are used twice in the document, which may have other faults too."""
    accounts = value_at(resolved, ("accounts", "anthropic"))
    first: dict[str, Loc] = {}
    for index, account in enumerate(accounts if isinstance(accounts, list) else ()):
        loc: Loc = ("accounts", "anthropic", index)
        name = value_at(account, ("name",))
        if isinstance(name, str) and first.setdefault(name, loc) != loc:
            yield ConfigFault(
                (*loc, "name"), f"{format_value(name)} is already the name of {path(first[name])}"
            )


def _warnings(config: Config, document: object) -> Iterator[ConfigFault]:
    yield from provider_warnings(config, document)
    yield from notice_warnings(config, document)
    for loc in _plaintext(document, ()):
        yield ConfigFault(
            loc, "holds a key or password in plain text: better ${VAR}, and VAR in .env"
        )
    for plugin, work in _IDLE_WITHOUT.items():
        options = getattr(config.cloaking.plugins, plugin)
        if options.enabled and not any(getattr(options, name) for name in work):
            loc = spelled(document, "cloaking", "plugins", plugin)
            yield ConfigFault(loc, f"is on, but has nothing to do without {' or '.join(work)}")
        elif options.enabled and plugin in _PROTECTING and config.cloaking.mode == "auto":
            loc = spelled(document, "cloaking", "plugins", plugin)
            yield ConfigFault(loc, ONLY_SUBSCRIPTIONS)


ONLY_SUBSCRIPTIONS = (
    "protects requests on subscriptions only, not those on API keys and other providers:"
    " cloaking.mode: always protects all"
)
_IDLE_WITHOUT = {
    "tls_fingerprint": ("pins",),
    "system_prompt_injector": ("blocks",),
    "word_obfuscator": ("words", "patterns", "detectors", "domains"),
}
_PROTECTING = ("tls_fingerprint", "word_obfuscator")


def _plaintext(value: object, loc: Loc) -> Iterator[Loc]:
    """Yield where a key, or a URL with a password, is written out."""
    match value:
        case dict():
            for key, item in value.items():
                yield from _plaintext(item, (*loc, str(key)))
        case list():
            for index, item in enumerate(value):
                yield from _plaintext(item, (*loc, index))
        case str() if not only_references(value) and _is_key(value, loc):
            yield loc


_PASSWORD = re.compile(r"://[^/\s:@]*+:(?!\$\{)[^/\s@]*+@")
_KEYS = {*spellings("api_key"), *spellings("api_keys"), "secret"}


def _is_key(text: str, loc: Loc) -> bool:
    return bool(_PASSWORD.search(text)) or any(part in _KEYS for part in loc[-2:])
