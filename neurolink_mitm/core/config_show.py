"""The configuration that is in force: every value, its default where the file says nothing, and where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace

from neurolink_mitm.core.config import Config
from neurolink_mitm.core.config_faults import Loc, path, spellings, without_credentials
from neurolink_mitm.core.config_flat import flat, told
from neurolink_mitm.core.redaction import redact
from neurolink_mitm.core.secret import STARS, Secret

DEFAULT, FILE = "default", "file"

_VARIABLES = re.compile(r"(?<!\$)\$\{(\w+)")


@dataclass(frozen=True, slots=True)
class Shown:
    """One value. `origin` is `default`, `file`, or `file: ${VAR}`."""

    path: str
    value: str
    origin: str


def effective(config: Config, document: object) -> Iterator[Shown]:
    """`document` is the file before `${VAR}` was resolved."""
    for index, account in enumerate(config.accounts):
        yield from _shown(account, ("accounts", "anthropic", index), document)
    yield from _shown(replace(config, accounts=()), (), document)


def _shown(section: object, at: Loc, document: object) -> Iterator[Shown]:
    for loc, value in flat(section, at):
        if loc != ("accounts",):
            yield Shown(path(loc), told(value, quoted), origin(document, loc))


def origin(document: object, loc: Loc) -> str:
    """Where the value at this place (keys in camelCase) comes from."""
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
    spelled = (part, *spellings(re.sub("([A-Z])", lambda m: f"_{m[1].lower()}", str(part))))
    return next((document[key] for key in spelled if key in document), None)


def as_json(value: object) -> object:
    """The same as JSON has it: keys in camelCase, secrets starred."""
    if isinstance(value, Config):
        made = _section(value)
        return {**made, "accounts": {"anthropic": made["accounts"]}}
    if isinstance(value, Secret):
        return STARS
    if is_dataclass(value):
        return _section(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    return bare(value) if isinstance(value, str) else value


def _section(value: object) -> dict[str, object]:
    assert is_dataclass(value)
    return {spellings(f.name)[0]: as_json(getattr(value, f.name)) for f in fields(value)}


def bare(text: str) -> str:
    """Without what is shaped like a key, and without a URL's password: a key may stand in the wrong place."""
    return redact(without_credentials(text) if "://" in text else text)


def quoted(text: str) -> str:
    return json.dumps(bare(text), ensure_ascii=False)
