"""CLIProxyAPI's auth files and `claude-api-key` entries.

Sources: router-for-me/CLIProxyAPI `internal/auth/claude/token.go` and `sdk/auth/filestore.go` (a JSON file an account
in `auth-dir`, `~/.cli-proxy-api`, at any depth), `internal/config/config_types.go` and `config.example.yaml` (keys).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from neurolink_mitm.accounts.imports.entries import (
    Entry,
    Findings,
    Login,
    Row,
    Setting,
    SourceError,
    either_entry,
    foreign_url,
    key_entry,
    login_entry,
    one_line,
    other_provider,
    with_origin,
)
from neurolink_mitm.accounts.imports.files import json_object, rows, yaml_object
from neurolink_mitm.adapters.other_programs import Program

NAME = "cliproxyapi"
TITLE = "CLIProxyAPI"
PORT = 8317
MOST_FILES = 2000
LARGEST_DEPTH = 4
_KEY_LISTS = (
    "gemini-api-key", "codex-api-key", "vertex-api-key", "openai-compatibility", "generative-language-api-key",
)  # fmt: skip
_SETTINGS = ("proxy_url", "base_url", "prefix", "headers")


def find(path: Path | None, environ: Mapping[str, str], now: float) -> Findings:
    """Return the accounts in `path`: the folder of auth files, one of them, or the configuration."""
    place = path or Path(environ.get("HOME") or "~").expanduser() / ".cli-proxy-api"
    program = Program(
        TITLE,
        frozenset({"cliproxyapi", "cli-proxy-api", "cli-proxy-api-plus", "cliproxyapiplus"}),
        port=PORT,
    )
    if not place.exists():
        raise SourceError(
            f"{place} is not there: name {TITLE}'s folder or its config.yaml with --path"
        )
    entries: list[Entry] = []
    settings: list[Setting] = []
    for file in _files(place):
        if file.suffix == ".json":
            _auth_file(file, now, entries, settings)
        else:
            _configuration(file, entries, settings, alone=file == place)
    return Findings(program, str(place), tuple(entries), tuple(settings))


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        yield place
        return
    count = 0

    def unreadable(error: OSError) -> None:
        raise SourceError(f"{error.filename} can't be read: {error.strerror}")

    for folder, inner, names in os.walk(place, onerror=unreadable):
        depth = len(Path(folder).relative_to(place).parts)
        inner[:] = sorted(inner) if depth < LARGEST_DEPTH else []
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix == ".json" or (depth == 0 and name in ("config.yaml", "config.yml")):
                count += 1
                if count > MOST_FILES:
                    raise SourceError(f"{place} has more than {MOST_FILES} files")
                yield path


def _auth_file(path: Path, now: float, entries: list[Entry], settings: list[Setting]) -> None:
    try:
        row = json_object(path)
    except SourceError as e:
        entries.append(
            Entry(path.stem, path.name, reason=f"the file is broken: {one_line(str(e))}")
        )
        return
    name, kind = one_line(row.get("email")) or one_line(path.stem), row.get("type")
    if kind not in ("claude", "anthropic"):
        entries.append(other_provider(name, path.name, kind))
        return
    settings += [
        Setting(path.name, key, _value(row[key])) for key in _SETTINGS if row.get(key)
    ]  # fmt: skip
    if row.get("disabled"):
        entries.append(Entry(name, path.name, reason="it is disabled there"))
        return
    entry = _account(row, name, path.name, now)
    if entry.account and (url := foreign_url(row.get("base_url"))):
        entry = Entry(name, path.name, reason=f"it is for {url}, not for Anthropic")
    entries.append(with_origin(entry, NAME, path.name))


def _account(row: Row, name: str, where: str, now: float) -> Entry:
    identity = {
        "uuid": row.get("account_uuid"),
        "organization_uuid": row.get("organization_uuid"),
        "organization_name": row.get("organization_name"),
        "email": row.get("email"),
    }
    login = Login(row.get("access_token"), row.get("refresh_token"), row.get("expired"), identity)
    if row.get("access_token") or not row.get("api_key"):
        return login_entry(name, where, login, now)
    return either_entry(name, where, Login(row.get("api_key"), identity=identity), now)


def _configuration(
    path: Path, entries: list[Entry], settings: list[Setting], *, alone: bool
) -> None:
    try:
        document = yaml_object(path)
    except SourceError as e:
        if alone:
            raise
        entries.append(
            Entry(path.name, path.name, reason=f"the file is broken: {one_line(str(e))}")
        )
        return
    for number, row in enumerate(rows(document.get("claude-api-key")), 1):
        where = f"{path.name}, claude-api-key {number}"
        settings += [
            Setting(where, key, _value(row[key]))
            for key in ("base-url", "proxy-url", "headers", "prefix", "cloak")
            if row.get(key)
        ]
        if url := foreign_url(row.get("base-url")):
            entries.append(
                Entry(f"key {number}", where, reason=f"it is for {url}, not for Anthropic")
            )
        else:
            entries.append(key_entry(f"{NAME}-key-{number}", where, row.get("api-key")))
    for key in _KEY_LISTS:
        for row in rows(document.get(key)):
            name = one_line(row.get("name")) or f"a key of {key}"
            entries.append(other_provider(name, path.name, key))
    for key in ("proxy-url", "auth-dir", "api-keys", "plugins"):
        if document.get(key):
            settings.append(Setting(path.name, key, _value(document[key])))


def _value(value: object) -> str:
    """Return a setting as it is listed: of headers and lists their names and number, as they may hold keys."""
    if isinstance(value, Mapping):
        return ", ".join(one_line(key) for key in list(value)[:10])
    if isinstance(value, list):
        return f"{len(value)} entries"
    return one_line(value)
