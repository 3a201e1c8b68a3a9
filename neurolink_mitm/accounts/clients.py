"""Keys of those who call the proxy: made, limited, renewed, revoked. A running proxy follows at once."""

from __future__ import annotations

from typing import Any

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.client_file import (
    add_client,
    change_client,
    read_clients,
    renew_client,
    revoke_client,
)
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.auth.client_keys import ClientKey


def add(home: Home, audit: Audit, name: str, now: float, **limits: Any) -> str:
    """Return a new key, of which only the hash is stored. Raises `ValueError`, `OSError`."""
    home.create()
    key = add_client(home.clients, name, now, **limits)
    audit.record("clients add", name, None, _row(_named(home, name)))
    return key


def change(home: Home, audit: Audit, name: str, **limits: Any) -> ClientKey | None:
    """Change limits of a client; return what it has now, None if there is none. Raises `ValueError`, `OSError`."""
    before = _named(home, name)
    changed = change_client(home.clients, name, **limits) if before else None
    if changed:
        audit.record("clients set", name, _row(before), _row(changed))
    return changed


def renew(home: Home, audit: Audit, name: str) -> str | None:
    """Return a new key for a client; None if there is none of that name. Raises `ValueError`, `OSError`."""
    key = renew_client(home.clients, name) if home.clients.exists() else None
    if key:
        audit.record("clients renew", name)
    return key


def revoke(home: Home, audit: Audit, name: str) -> bool:
    """Remove a client; return whether there was one. Raises `ValueError`, `OSError`."""
    before = _named(home, name)
    revoked = home.clients.exists() and revoke_client(home.clients, name)
    if revoked:
        audit.record("clients revoke", name, _row(before))
    return revoked


def limits_row(client: ClientKey) -> dict[str, Any]:
    """Return the limits of a client as JSON."""
    return {
        "models": list(client.models),
        "rate": client.rate,
        "dailyCapUsd": client.daily_cap_usd,
        "hold": client.hold,
    }


def _row(client: ClientKey | None) -> dict[str, Any] | None:
    return limits_row(client) if client else None


def _named(home: Home, name: str) -> ClientKey | None:
    return next((each for each in read_clients(home.clients) if each.name == name), None)
