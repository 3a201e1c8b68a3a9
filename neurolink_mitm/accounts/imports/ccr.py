"""claude-code-router's providers: those that are Anthropic itself have an API key, the others are listed.

Sources: musistudio/claude-code-router `config.example.json` and `src/utils/index.ts` of its first version (`Providers`
in `~/.claude-code-router/config.json`, read as JSON5, with `$NAME` for variables) and `src/constants.ts` (pid file);
`packages/core/src/config/config-repository.ts` of the newer one (`config.sqlite`, table `app_config`, key `default`;
`config.json` is then out of use) and `packages/cli/src/cli.ts` (`service.json`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from neurolink_mitm.accounts.imports.database import columns, opened, query
from neurolink_mitm.accounts.imports.entries import (
    ANTHROPIC,
    Entry,
    Findings,
    Login,
    Row,
    Setting,
    SourceError,
    either_entry,
    foreign_url,
    one_line,
    other_provider,
)
from neurolink_mitm.accounts.imports.files import json_object, parsed, rows
from neurolink_mitm.adapters.other_programs import Program

NAME = "ccr"
TITLE = "claude-code-router"
PORT = 3456
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_URLS = ("api_base_url", "baseUrl", "baseurl")
_KEYS = ("api_key", "apiKey", "apikey")


def find(path: Path | None, environ: Mapping[str, str], now: float) -> Findings:
    """Return the providers in `path`: the folder, its `config.sqlite` or its `config.json`."""
    place = path or Path(environ.get("HOME") or "~").expanduser() / ".claude-code-router"
    folder = place if place.is_dir() else place.parent
    program = Program(
        TITLE,
        frozenset({"ccr", "claude-code-router"}),
        ("claude-code-router",),
        pid_files=(folder / ".claude-code-router.pid", folder / "service.json"),
        port=PORT,
    )
    if place.is_dir():
        newer = place / "config.sqlite"
        place = newer if newer.exists() else place / "config.json"
    document = _from_database(place) if place.suffix == ".sqlite" else json_object(place)
    providers = rows(document.get("Providers") or document.get("providers"))
    entries = tuple(_entry(row, place.name, now) for row in providers)
    return Findings(program, str(place), entries, _settings(document, providers, place.name))


def _from_database(path: Path) -> Row:
    with opened(path) as connection:
        if "value_json" not in columns(connection, "app_config"):
            raise SourceError(f"{path} has no table app_config: it is not {TITLE}'s")
        saved = query(connection, "SELECT value_json FROM app_config WHERE key = 'default'")
    return parsed(str(saved[0]["value_json"]), path) if saved else {}


def _entry(row: Row, where: str, now: float) -> Entry:
    name, url = one_line(row.get("name")), _first(row, _URLS)
    if not isinstance(url, str) or ANTHROPIC not in url:
        return other_provider(name, where, url)
    if foreign := foreign_url(url):
        return Entry(name, where, reason=f"it is for {foreign}, not for Anthropic")
    if row.get("enabled") is False:
        return Entry(name, where, reason="it is disabled there")
    key = _first(row, _KEYS)
    if isinstance(key, str) and (variable := _VARIABLE.fullmatch(key.strip())):
        text = f"its key is in the variable {variable[1]}: neurolink auth import --from env"
        return Entry(name, where, reason=text)
    return either_entry(name, where, Login(key), now)


def _settings(document: Row, providers: list[Row], where: str) -> tuple[Setting, ...]:
    settings = [
        Setting(where, key, one_line(document[key]))
        for key in ("PROXY_URL", "CUSTOM_ROUTER_PATH", "HOST")
        if document.get(key)
    ]
    settings += [
        Setting(where, key) for key in ("APIKEY", "transformers", "plugins") if document.get(key)
    ]
    for row in providers:
        name = one_line(row.get("name"))
        if url := foreign_url(_first(row, _URLS)):
            settings.append(Setting(name, "api_base_url", url))
        settings += [
            Setting(name, key)
            for key in ("transformer", "extraHeaders", "extraBody")
            if row.get(key)
        ]
    return tuple(settings)


def _first(row: Row, names: tuple[str, ...]) -> object:
    return next((row[name] for name in names if row.get(name)), None)
