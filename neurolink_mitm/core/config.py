"""The configuration, `proxy-config.yaml`: from a parsed document to typed values, or to its faults.

`config_values` has the sections, `config_kinds` the kinds of values in them, `interpolation`
resolves `${VAR}`, and `config_faults` puts what is wrong into words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import chain, count
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidationError

from neurolink_mitm.core import config_kinds as kinds
from neurolink_mitm.core.accounts import ANTHROPIC
from neurolink_mitm.core.config_faults import (
    Fault,
    Loc,
    explain,
    path,
    position,
    shown,
    spellings,
    value_at,
)
from neurolink_mitm.core.config_values import (
    DEFAULT_BASE_URL,
    UNNAMED,
    AccountConfig,
    AccountGroups,
    Clients,
    Cloaking,
    Logging,
    ModelPrice,
    Network,
    OAuth,
    Provider,
    Routing,
    Section,
    Timeouts,
)
from neurolink_mitm.core.interpolation import only_references, resolve_all
from neurolink_mitm.core.provider_names import unknown


class ConfigError(ValueError):
    """A configuration that can't be used. `faults` are all its faults, a line each, no secrets."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Common(Section):
    version: Annotated[Literal[1], kinds.must("1")] = 1
    default_base_url: kinds.BaseUrl = DEFAULT_BASE_URL
    routing: Routing = field(default_factory=Routing)
    timeouts: Timeouts = field(default_factory=Timeouts)
    clients: Clients = field(default_factory=Clients)
    providers: Mapping[str, Provider] = field(default_factory=dict, hash=False)
    prices: Mapping[str, ModelPrice] = field(default_factory=dict, hash=False)
    oauth: OAuth = field(default_factory=OAuth)
    cloaking: Cloaking = field(default_factory=Cloaking)
    logging: Logging = field(default_factory=Logging)
    network: Network = field(default_factory=Network)


@dataclass(frozen=True, slots=True)
class ConfigFile(_Common):
    """The configuration as the file has it."""

    accounts: AccountGroups = field(default_factory=AccountGroups)


@dataclass(frozen=True, slots=True)
class Config(_Common):
    """The configuration as the program uses it. `Config()` is that of an empty file."""

    accounts: tuple[AccountConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without faults, and what its author should know all the same."""

    config: Config
    warnings: tuple[str, ...] = ()


def parse(document: object, env: Mapping[str, str]) -> Loaded:
    """Check a parsed YAML or JSON document (None: an empty file) and resolve `${VAR}` from `env`.

    Raises `ConfigError` with every fault at once.
    """
    document = {} if document is None else document
    resolved, faults = resolve_all(document, env)
    resolved = _named(resolved)
    file, wrong = _checked(resolved, document)
    # a reference that can't be resolved is one fault, not also a wrong value
    known = {fault.loc for fault in faults}
    wrong = [fault for fault in (*wrong, *_duplicates(resolved)) if fault.loc not in known]
    if file is None or faults or wrong:
        every = sorted((*faults, *wrong), key=lambda fault: position(document, fault.loc))
        raise ConfigError(*map(str, every))
    config = Config(accounts=file.accounts.anthropic, **_common(file))
    return Loaded(config, tuple(map(str, _warnings(config, document))))


@cache
def file_type() -> TypeAdapter[ConfigFile]:
    """Checks a document, and knows its schema."""
    # built on first use: it takes longer than importing this module's own code
    return TypeAdapter(ConfigFile)


def _checked(resolved: object, document: object) -> tuple[ConfigFile | None, list[Fault]]:
    try:
        return file_type().validate_python(resolved), []
    except ValidationError as e:
        return None, [explain(error, ConfigFile, document) for error in e.errors()]


def _common(file: _Common) -> dict[str, Any]:
    return {item.name: getattr(file, item.name) for item in fields(_Common)}


def _named(resolved: object) -> object:
    """The document, in which accounts without a name have one of their own: `unnamed`, `unnamed-2`, …"""
    accounts = value_at(resolved, ("accounts", "anthropic"))
    if not isinstance(accounts, list) or not isinstance(resolved, dict):
        return resolved
    taken = [value_at(account, ("name",)) for account in accounts]
    wished = chain((UNNAMED,), (f"{UNNAMED}-{number}" for number in count(2)))
    names = (name for name in wished if name not in taken)
    named = [
        {"name": next(names), **each} if isinstance(each, dict) and "name" not in each else each
        for each in accounts
    ]
    return {**resolved, "accounts": {**resolved["accounts"], "anthropic": named}}


def _duplicates(resolved: object) -> Iterator[Fault]:
    """Account names used twice; looked for in the document, since it may have other faults too."""
    accounts = value_at(resolved, ("accounts", "anthropic"))
    first: dict[str, Loc] = {}
    for index, account in enumerate(accounts if isinstance(accounts, list) else ()):
        loc: Loc = ("accounts", "anthropic", index)
        name = value_at(account, ("name",))
        if isinstance(name, str) and first.setdefault(name, loc) != loc:
            yield Fault((*loc, "name"), f"{shown(name)} is already the name of {path(first[name])}")


def _warnings(config: Config, document: object) -> Iterator[Fault]:
    yield from _providers(config, document)
    for loc in _plaintext(document, ()):
        yield Fault(loc, "holds a key or password in plain text: better ${VAR}, and VAR in .env")
    for plugin, work in _IDLE_WITHOUT.items():
        options = getattr(config.cloaking.plugins, plugin)
        if options.enabled and not any(getattr(options, name) for name in work):
            loc = _spelled(document, "cloaking", "plugins", plugin)
            yield Fault(loc, f"is on, but has nothing to do without {' or '.join(work)}")
        elif options.enabled and plugin in _PROTECTING and config.cloaking.mode == "auto":
            loc = _spelled(document, "cloaking", "plugins", plugin)
            yield Fault(loc, ONLY_SUBSCRIPTIONS)


def _providers(config: Config, document: object) -> Iterator[Fault]:
    """Those that nobody knows: they would be asked in vain, and only once all accounts cool."""
    named: list[tuple[str, Loc]] = [(name, ("providers", name)) for name in config.providers]
    mappings = _spelled(document, "routing", "model_mappings")
    chain = _spelled(document, "routing", "fallback_chain")
    for n, mapping in enumerate(config.routing.model_mappings):
        named.append((mapping.provider, (*mappings, n, "provider")))
    for n, entry in enumerate(config.routing.fallback_chain):
        named.append((entry.provider, (*chain, n, "provider")))
    for name, loc in named:
        if name != ANTHROPIC and (said := unknown(name)):
            yield Fault(loc, said)


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
    """Where a key, or a URL with a password, is written out."""
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
_KEYS = {*spellings("api_key"), *spellings("api_keys")}


def _is_key(text: str, loc: Loc) -> bool:
    return bool(_PASSWORD.search(text)) or any(part in _KEYS for part in loc[-2:])


def _spelled(document: object, *names: str) -> Loc:
    """The place of a field in the file, in the file's spelling."""
    loc: Loc = ()
    for name in names:
        written = [key for key in spellings(name) if value_at(document, (*loc, key)) is not None]
        loc = (*loc, *written[:1])
    return loc
