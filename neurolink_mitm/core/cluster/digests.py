"""What replicas of one pool should have in common, as short digests: they show a difference, and nothing else.

Keys, passwords and the texts of request shaping are left out: a digest of a short text can be guessed.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.errors import without_credentials
from neurolink_mitm.core.settings.values import Config

LENGTH = 8
"""Hex digits."""


def digests(
    config: Config,
    strategy: str,
    accounts: Sequence[Account],
    clients: Sequence[ClientKey],
    namespace: str,
) -> dict[str, str]:
    """Return the digest of each part of the configuration in force; files' paths and addresses may differ."""
    parts: dict[str, object] = {
        "accounts": sorted((account.key, account.type) for account in accounts),
        "account settings": sorted(map(_settings, accounts)),
        "routing": (strategy, _plain(config.routing)),
        "defaultBaseUrl": _plain(config.default_base_url),
        "timeouts": _plain(config.timeouts),
        "clients": (len(config.clients.api_keys), sorted(map(_client, clients))),
        "providers": _plain(config.providers),
        "prices": _plain(config.prices),
        "cloaking": (config.cloaking.mode, _switches(config.cloaking.plugins)),
    }
    return {name: _digest(namespace, part) for name, part in parts.items()}


def _settings(account: Account) -> list[object]:
    return [
        account.key, without_credentials(account.base_url), account.weight, account.priority, account.enabled,
        account.rate_limit, account.max_concurrent, list(account.excluded_models),
    ]  # fmt: skip


def _client(key: ClientKey) -> list[object]:
    return [key.name, key.digest, list(key.models), key.rate, key.daily_cap_usd, key.hold]


def _switches(plugins: object) -> list[object]:
    assert is_dataclass(plugins)
    options = ((each.name, getattr(plugins, each.name)) for each in fields(plugins))
    return [[name, getattr(option, "enabled", None)] for name, option in options]


def _plain(value: object) -> object:
    """Return a section without secrets, as JSON can write it."""
    if isinstance(value, Secret):
        return None
    if is_dataclass(value):
        shown = (each for each in fields(value) if not each.metadata.get("private"))
        return {each.name: _plain(getattr(value, each.name)) for each in shown}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return without_credentials(value)
    return [_plain(item) for item in value] if isinstance(value, Iterable) else value


def _digest(namespace: str, part: object) -> str:
    text = json.dumps(part, sort_keys=True, default=str)
    return hmac.digest(namespace.encode(), text.encode("utf-8", "surrogatepass"), "sha256").hex()[
        :LENGTH
    ]
