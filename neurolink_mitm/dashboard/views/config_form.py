"""The configuration as a form: each value in force, its meaning and origin, and an input where it may be edited.

The names of inputs are the paths of values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from functools import cache
from typing import Any, Literal, get_args, get_origin

from neurolink_mitm.config.editable import (
    ACCOUNTS,
    MOST_ENTRIES,
    is_editable,
)
from neurolink_mitm.config.schema import Entry, entries
from neurolink_mitm.config.show import DEFAULT, format_setting, mask_text, origin, quote, values_in
from neurolink_mitm.core.settings.errors import Loc, path, spellings
from neurolink_mitm.core.settings.types import ValueType, hints, plain
from neurolink_mitm.core.settings.values import (
    AccountConfig,
    Config,
    ConfigFile,
    Fallback,
    ModelMapping,
)

Kind = Literal["choice", "flag", "number", "text", "lines", "table", ""]
UNITS = {
    "timeouts.connect": "s", "timeouts.firstEvent": "s", "timeouts.idle": "s", "timeouts.total": "s",
    "timeouts.drain": "s",
    "routing.hold": "s", "routing.dailyCapUsd": "USD a day", "logging.maxAgeDays": "days",
    "logging.rollupDays": "days", "logging.maxSizeMb": "MB", "rateLimit": "requests a minute",
    "maxConcurrent": "requests", "network.idle": "s", "network.warm": "connections",
}  # fmt: skip
TABLES: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "routing.modelMappings": (ModelMapping, ("from", "to", "provider")),
    "routing.fallbackChain": (Fallback, ("provider", "model")),
}
SPARE_ROWS = 2
"""Empty rows of a table, to be filled."""
WHY = {
    "accounts": "it names a host, a key, or whose it is",
    "clients": "it says who may use the proxy",
    "cloaking": "it says what may leave this machine",
    "cluster": "it names the host that logins are shared through",
    "dashboard": "it says who reaches these pages",
    "defaultBaseUrl": "it names the host that tokens are sent to",
    "listen": "it says how callers reach the proxy",
    "network": "it says whom connections trust",
    "notify": "it runs a command, or names a host",
    "oauth": "it names the hosts of the login",
    "prices": "it decides what counts as spent",
    "providers": "it names hosts, and holds keys",
    "version": "it is that of the format",
}
"""Why a section is changed in the file only."""
HOLDS_REFERENCES = "it reads variables, which would be written out"
LOOKS_LIKE_KEY = "it looks like a key"
TOO_LONG = "it is too long to be edited here"
ELSEWHERE = "it is none of those that may be edited here"


@dataclass(frozen=True, slots=True)
class Field:
    """A value in force. `kind` is that of its input; none for what is changed in the file only."""

    loc: Loc
    """Keys in camelCase; an account by its name."""
    meaning: str
    value: str
    default: str
    origin: str
    kind: Kind = ""
    input: str = ""
    """What the input holds; nothing stands for the default."""
    choices: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    unit: str = ""
    bounds: str = ""
    why: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        return ".".join(map(str, self.loc))

    @property
    def path(self) -> str:
        return path(self.loc)

    @property
    def key(self) -> str:
        return str(self.loc[-1])

    @property
    def is_default(self) -> bool:
        return self.origin == DEFAULT


@dataclass(frozen=True, slots=True)
class Section:
    """The fields of a section, or of an account."""

    title: str
    meaning: str
    fields: tuple[Field, ...]
    account: bool = False
    path: str = ""

    @property
    def why(self) -> str:
        """Why those without an input are changed in the file only."""
        return WHY.get("accounts" if self.account else self.title, "")

    @property
    def editable(self) -> bool:
        return any(each.kind for each in self.fields)


def sections(
    config: Config, document: object, accounts: Sequence[str], strategy: str | None = None
) -> list[Section]:
    """Return all values in force.

    `document` is the file before `${VAR}` was resolved. `accounts` are the labels of stored logins, which may have no
    entry. `strategy` is that of the command line, which is in force whatever the file says.
    """
    of_keys = [_section(name, config, document, strategy) for name in _names()]
    indices = {each.name: index for index, each in enumerate(config.accounts)}
    settings = {name: AccountConfig(name=name) for name in accounts}
    settings |= {each.name: each for each in config.accounts}
    of_accounts = [
        _account(each, indices.get(name), document) for name, each in sorted(settings.items())
    ]
    editable = [each for each in of_keys if each.editable]
    return [
        *editable,
        *of_accounts,
        *(each for each in of_keys if not each.editable and each.fields),
    ]


def _names() -> list[str]:
    return [entry.path for entry in entries() if "." not in entry.path and entry.path != "accounts"]


def _section(name: str, config: Config, document: object, strategy: str | None) -> Section:
    values = [
        (loc, each) for loc, each in values_in(replace(config, accounts=())) if loc[0] == name
    ]
    fields = [_field(loc, loc, value, document) for loc, value in values]
    if strategy:
        fields = [
            _overridden(each, strategy) if each.name == "routing.strategy" else each
            for each in fields
        ]
    return Section(name, _text(_entry((name,)).meaning), tuple(fields), path=name)


def _overridden(field: Field, strategy: str) -> Field:
    return replace(field, value=strategy, origin=f"command line: --strategy {strategy}")


def _account(account: AccountConfig, index: int | None, document: object) -> Section:
    at: Loc = (*ACCOUNTS, account.name)
    fields = []
    for loc, value in values_in(account, at):
        place: Loc = (*ACCOUNTS, index, *loc[3:]) if index is not None else ("",)
        if loc[3:] != ("name",):
            fields.append(_field(loc, place, value, document))
    fields.sort(key=lambda each: not each.kind)
    note = (
        "Its settings in the file."
        if index is not None
        else "A stored login, without an entry in the file."
    )
    return Section(account.name, note, tuple(fields), account=True, path=path(at))


def _field(loc: Loc, place: Loc, value: object, document: object) -> Field:
    entry = _entry(loc)
    field = Field(
        loc=loc,
        meaning=_text(entry.meaning),
        value="none" if value is None else format_setting(value, quote),
        default=_default(entry),
        origin=origin(document, place),
        unit=UNITS.get(path(loc)) or UNITS.get(str(loc[-1]), "") * (loc[0] == "accounts"),
    )
    texts = tuple(map(str, loc))
    if not is_editable(texts):
        return replace(field, why=WHY.get(texts[0], ELSEWHERE))
    made = _input(field, _hint(loc), value)
    if made.kind in ("lines", "table") and "${" in field.origin:
        return replace(field, why=HOLDS_REFERENCES)
    if isinstance(value, tuple) and len(value) > MOST_ENTRIES:
        return replace(field, why=TOO_LONG)
    texts = (made.input, *(text for row in made.rows for text in row))
    return (
        replace(field, why=LOOKS_LIKE_KEY)
        if any(mask_text(each) != each for each in texts)
        else made
    )


def _input(field: Field, hint: Any, value: object) -> Field:
    """Return a field with an input for its type."""
    if field.name in TABLES:
        columns = TABLES[field.name][1]
        assert isinstance(value, tuple)
        rows = tuple(
            tuple(str(getattr(each, _field_name(column))) for column in columns) for each in value
        )
        return replace(field, kind="table", columns=columns, rows=rows)
    of, notes = plain(hint)
    kind = next((note for note in notes if isinstance(note, ValueType)), None)
    written = "" if field.is_default else _written(value)
    if get_origin(of) is tuple:
        return replace(field, kind="lines", input=written)
    if get_origin(of) is Literal:
        return replace(field, kind="choice", choices=tuple(map(str, get_args(of))), input=written)
    if kind and kind.schema["type"] == "boolean":
        return replace(field, kind="flag", input="1" if value else "0")
    if kind and kind.schema["type"] in ("integer", "number"):
        return replace(field, kind="number", input=written, bounds=_bounds(kind.schema))
    return replace(field, kind="text", input=written)


def _field_name(column: str) -> str:
    return "from_" if column == "from" else column


def _written(value: object) -> str:
    """Return a value as an input holds it."""
    match value:
        case None:
            return ""
        case str():
            return value
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        case tuple():
            return "\n".join(map(_written, value))
    return str(value)


def _bounds(schema: Mapping[str, Any]) -> str:
    whole = "a whole number" if schema["type"] == "integer" else "a number"
    least = [f"> {schema['exclusiveMinimum']:g}"] if "exclusiveMinimum" in schema else []
    least += [f"≥ {schema['minimum']:g}"] if "minimum" in schema else []
    most = [f"at most {schema['maximum']:g}"] if "maximum" in schema else []
    return " ".join([whole, " and ".join(least + most)]).strip()


@cache
def _entries() -> Mapping[str, Entry]:
    return {entry.path: entry for entry in entries()}


def _entry(loc: Loc) -> Entry:
    """Return the key that a value is of: names of lists and mappings are `[]` and `*` there."""
    if loc[:2] == ACCOUNTS:
        loc = ("accounts", "anthropic[]", *loc[3:])
    texts = [*map(str, loc)]
    starred = [*texts[:1], "*", *texts[2:]]
    while texts:
        for each in (texts, starred):
            if entry := _entries().get(".".join(each)):
                return entry
        texts, starred = texts[:-1], starred[:-1]
    raise KeyError(path(loc))


def _hint(loc: Loc) -> Any:
    section: Any = (
        AccountConfig if loc[0] == "accounts" else plain(hints(ConfigFile)[str(loc[0])])[0]
    )
    return next(hint for name, hint in hints(section).items() if spellings(name)[0] == loc[-1])


def _default(entry: Entry) -> str:
    if entry.default is MISSING or entry.default is None:
        return "none"
    if entry.default == () or entry.default == {}:
        return "empty"
    return "" if entry.nested else format_setting(entry.default).strip('"')


def _text(meaning: str) -> str:
    """Return the text of a meaning, which is Markdown, without links."""
    return re.sub(r"\s*\(\[[^]]*\]\([^)]*\)\)|\[([^]]*)\]\([^)]*\)", r"\1", meaning).replace(
        "`", ""
    )
