"""The accounts of the original NeuroLink in another folder, or in a backup of its store.

In our own home nothing needs to be imported: `adapters/takeover.py` takes the store over. Its forms are described in
`core/auth/original_store.py`.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from neurolink_mitm.accounts.imports.entries import (
    Entry,
    Findings,
    Login,
    Row,
    Setting,
    SourceError,
    either_entry,
    foreign_url,
    login_entry,
    one_line,
    other_provider,
    with_origin,
)
from neurolink_mitm.accounts.imports.files import content, parsed, rows, yaml_object
from neurolink_mitm.adapters.other_programs import original
from neurolink_mitm.adapters.takeover import home_directories
from neurolink_mitm.core.auth.credentials import (
    PROVIDER,
    StoredAccount,
    parse_legacy,
    parse_token_store,
)
from neurolink_mitm.core.auth.original_store import convert, reveal

NAME = "neurolink"
STORE, LEGACY, CONFIG = "tokens.json", "anthropic-credentials.json", "proxy-config.yaml"


def find(path: Path | None, environ: Mapping[str, str], now: float) -> Findings:
    """Return the accounts in `path`: its folder, or one of the files in it."""
    place = path or Path(environ.get("HOME") or "~").expanduser() / ".neurolink"
    folder = place if place.is_dir() else place.parent
    files = [folder / name for name in (STORE, LEGACY, CONFIG)] if place.is_dir() else [place]
    there = [file for file in files if file.exists()]
    if not there:
        raise SourceError(
            f"{place} holds no accounts of the original NeuroLink: name its folder with --path"
        )
    homes = home_directories(environ, folder)
    entries: list[Entry] = []
    settings: list[Setting] = []
    for file in there:
        if file.suffix in (".yaml", ".yml"):
            _configuration(file, now, entries, settings)
        else:
            entries += _store(file, homes, now)
    return Findings(original(folder), str(place), tuple(entries), tuple(settings))


def _store(path: Path, homes: Iterable[str], now: float) -> list[Entry]:
    text = content(path)
    if not text.lstrip().startswith("{"):
        text = _revealed(text, homes, path)
    document = parsed(text, path)
    providers = document.get("providers")
    if not isinstance(providers, dict):
        return [_legacy(text, path, now)]
    return [_entry(str(key), value, path.name, now) for key, value in providers.items()]


def _revealed(text: str, homes: Iterable[str], path: Path) -> str:
    try:
        return reveal(text.encode(), homes).decode()
    except (ValueError, binascii.Error) as e:
        raise SourceError(f"{path}: {e}") from None


def _entry(key: str, value: object, where: str, now: float) -> Entry:
    name = one_line(key.removeprefix(PROVIDER))
    if key != "anthropic" and not key.startswith(PROVIDER):
        return other_provider(name, where, key.partition(":")[0])
    try:
        single = msgspec.json.encode({"version": "2.0", "providers": {key: value}})
        conversion = convert(single, ())
        (account,) = parse_token_store(conversion.data if conversion else single)
    except UnicodeError:
        return Entry(name, where, reason="it is broken: not UTF-8")
    except ValueError as e:
        return Entry(name, where, reason=f"it is broken: {one_line(str(e))}")
    if account.disabled:
        return Entry(name, where, reason=f"it is disabled there: {one_line(account.disabled)}")
    return _of(account, name, where, now, mark=key)


def _legacy(text: str, path: Path, now: float) -> Entry:
    name = path.stem
    try:
        account = parse_legacy(text.encode())
    except ValueError as e:
        return Entry(name, path.name, reason=f"it is broken: {one_line(str(e))}")
    if account is None:
        return Entry(name, path.name, reason="it holds no account")
    return _of(account, name, path.name, now, mark=path.name)


def _of(account: StoredAccount, name: str, where: str, now: float, mark: str) -> Entry:
    """Return the entry of an account that was read by our own reader, checked as all are."""
    identity: Row = {
        "uuid": account.account_uuid,
        "organization_uuid": account.organization_uuid,
        "organization_name": account.organization_name,
        "email": account.email,
        "plan": account.plan,
    }
    refresh = account.refresh_token.reveal() if account.refresh_token else None
    login = Login(account.access_token.reveal(), refresh, account.expires_at, identity)
    if account.type == "oauth":
        entry = with_origin(login_entry(name, where, login, now), NAME, mark)
    else:
        entry = either_entry(name, where, login, now)
    if entry.account is None:
        return entry
    return replace(entry, account=replace(entry.account, label=account.label))


def _configuration(path: Path, now: float, entries: list[Entry], settings: list[Setting]) -> None:
    try:
        document = yaml_object(path)
    except SourceError as e:
        entries.append(
            Entry(path.name, path.name, reason=f"the file is broken: {one_line(str(e))}")
        )
        return
    accounts = document.get("accounts")
    for row in rows(accounts.get("anthropic")) if isinstance(accounts, dict) else []:
        name = one_line(row.get("name"))
        key = row.get("apiKey") or row.get("api-key")
        settings += [
            Setting(f"{path.name}, {name}", each, one_line(row[each]))
            for each in ("baseUrl", "base-url", "proxyUrl", "proxy-url")
            if row.get(each)
        ]
        url = foreign_url(row.get("baseUrl") or row.get("base-url"))
        if url or (isinstance(key, str) and "${" in key):
            reason = f"it is for {url}, not for Anthropic" if url else "its key is in a variable"
            entries.append(Entry(name, path.name, reason=reason))
        elif key:
            entries.append(either_entry(name, path.name, Login(key), now))
