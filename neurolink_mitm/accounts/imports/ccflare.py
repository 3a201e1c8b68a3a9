"""The accounts of ccflare and better-ccflare: the table `accounts` of its SQLite database.

Sources: tombii/better-ccflare `packages/database/src/migrations.ts` (columns; `expires_at` in milliseconds, `paused`,
`requires_reauth`, `custom_endpoint`), `paths.ts` and `packages/config/src/paths-common.ts` (where it lies),
`packages/oauth-flow/src/index.ts` (a login has provider `anthropic`, a key `claude-console-api`; earlier ones have the
key of an `anthropic` account in `api_key`), `multi-instance-guard.ts` (the table `instance_heartbeats`, every 5 s).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from neurolink_mitm.accounts.imports.database import columns, opened, query
from neurolink_mitm.accounts.imports.entries import (
    Entry,
    Findings,
    Login,
    Row,
    Setting,
    SourceError,
    foreign_url,
    key_entry,
    login_entry,
    one_line,
    other_provider,
    with_origin,
)
from neurolink_mitm.accounts.imports.files import json_object
from neurolink_mitm.adapters.other_programs import Program

NAME = "ccflare"
TITLE = "ccflare"
HEARTBEAT = 30.0
"""Seconds after which an instance that has not written counts as ended."""
_COLUMNS = (
    "id", "name", "provider", "api_key", "refresh_token", "access_token", "expires_at", "paused",
    "pause_reason", "requires_reauth", "custom_endpoint",
)  # fmt: skip


def find(path: Path | None, environ: Mapping[str, str], now: float) -> Findings:
    """Return the accounts in the database `path`, or in that of its folder."""
    program = Program(
        TITLE,
        frozenset({"ccflare", "better-ccflare"}),
        ("better-ccflare", "ccflare"),
    )
    place = _database(path, environ)
    with opened(place) as connection:
        names = columns(connection, "accounts")
        if not {"id", "name"} <= names:
            raise SourceError(f"{place} has no table of accounts: it is not {TITLE}'s database")
        wanted = ", ".join(each for each in _COLUMNS if each in names)
        # only names of ours go into it
        accounts = query(connection, f"SELECT {wanted} FROM accounts ORDER BY name")  # noqa: S608
        runs = None
        if columns(connection, "instance_heartbeats") >= {"pid", "last_heartbeat"}:
            sql = "SELECT pid FROM instance_heartbeats WHERE last_heartbeat > ?"
            beats = query(connection, sql, ((now - HEARTBEAT) * 1000,))
            runs = (
                f"process {one_line(beats[0]['pid'])}, by its heartbeat in {place}"
                if beats
                else None
            )
    entries = tuple(_entry(row, now) for row in accounts)
    settings = (*_endpoints(accounts), *_configuration(place.with_name("better-ccflare.json")))
    return Findings(program, str(place), entries, settings, runs=runs)


def _database(path: Path | None, environ: Mapping[str, str]) -> Path:
    named = environ.get("BETTER_CCFLARE_DB_PATH") or environ.get("ccflare_DB_PATH")
    home = Path(environ.get("HOME") or "~").expanduser()
    base = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    if path is not None and not path.is_dir():
        return path
    if path is None and named:
        return Path(named)
    folders = [path] if path is not None else [base / "better-ccflare", base / "ccflare"]
    files = [folder / name for folder in folders for name in ("better-ccflare.db", "ccflare.db")]
    database = next((file for file in files if file.exists()), None)
    if database is None:
        raise SourceError(f"{files[0]} is not there: name {TITLE}'s database with --path")
    return database


def _entry(row: Row, now: float) -> Entry:
    name, where = one_line(row.get("name")), "accounts"
    provider = row.get("provider") or "anthropic"
    if provider not in ("anthropic", "claude-console-api", "claude-oauth"):
        return other_provider(name, where, provider)
    if url := foreign_url(row.get("custom_endpoint")):
        return Entry(name, where, reason=f"it is for {url}, not for Anthropic")
    if row.get("paused"):
        why = one_line(row.get("pause_reason"))
        return Entry(name, where, reason=f"it is paused there{f': {why}' if why else ''}")
    if row.get("requires_reauth"):
        return Entry(name, where, reason="it needs a login there")
    if row.get("access_token"):
        login = Login(row["access_token"], row.get("refresh_token"), row.get("expires_at"))
        return with_origin(login_entry(name, where, login, now), NAME, one_line(row.get("id")))
    if row.get("api_key"):
        return key_entry(name, where, row["api_key"])
    return Entry(
        name, where, reason="it has no access token yet: use it there once, or log in here"
    )


def _endpoints(accounts: list[Row]) -> Iterator[Setting]:
    for row in accounts:
        if row.get("custom_endpoint"):
            yield Setting(
                one_line(row.get("name")), "custom_endpoint", one_line(row["custom_endpoint"])
            )


def _configuration(path: Path) -> Iterator[Setting]:
    try:
        document = json_object(path)
    except SourceError:  # most have none, and nothing of it is needed
        return
    for key in ("outbound_proxy", "client_id"):
        if document.get(key):
            yield Setting(path.name, key, one_line(document[key]))
