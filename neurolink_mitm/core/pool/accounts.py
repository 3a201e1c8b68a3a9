"""The pool: which accounts there are, with which settings, in which order.

Logins and keys come from the token store, the configuration, the legacy file and the environment;
`build_pool` puts them together. It is pure: the same sources always give the same pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Literal

from neurolink_mitm.core.auth.credentials import (
    PROVIDER,
    AccountType,
    StoredAccount,
    account_type,
    parse_legacy,
    parse_token_store,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import AccountConfig, Config

__all__ = [
    "Account",
    "AccountType",
    "Source",
    "StoredAccount",
    "account_type",
    "build_pool",
    "missing_primary",
    "parse_legacy",
    "parse_token_store",
    "unknown_account",
    "unused_settings",
]

Source = Literal["store", "config", "legacy", "environment"]
ENVIRONMENT_LABEL = "env"
ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the pool."""

    key: str
    """`anthropic:<label>`, unique in the pool."""
    label: str
    type: Literal["oauth", "api_key", "provider"]
    """`provider`: no account at Anthropic, but a model of another provider."""
    secret: Secret
    """API key or OAuth access token."""
    base_url: str
    account_uuid: str | None = None
    organization_uuid: str | None = None
    email: str | None = None
    weight: float = 1.0
    priority: int = 0
    enabled: bool = True
    rate_limit: int | None = None
    """Requests a minute; None sets no limit."""
    max_concurrent: int = 0
    """Requests in flight; 0 sets no limit."""
    excluded_models: tuple[str, ...] = ()
    """Wildcards."""
    proxy_url: str | None = field(default=None, repr=False)
    """May hold credentials; `direct` ignores the environment's proxy."""
    expires_at: float | None = None
    """Of the access token, seconds since the epoch."""
    refreshable: bool = False
    """The store holds a refresh token for it."""
    disabled: str | None = None
    """Why it takes no requests until the next login."""
    source: Source = "config"
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
    provider: str = ANTHROPIC
    model: str | None = None
    """What another provider is asked for, whatever the client asks for."""

    @property
    def is_anthropic(self) -> bool:
        return self.provider == ANTHROPIC

    def has_ended(self, now: float) -> bool:
        """Whether its token is good no more, as far as that is known."""
        return self.expires_at is not None and self.expires_at <= now


def build_pool(
    config: Config,
    stored: Sequence[StoredAccount],
    legacy: StoredAccount | None,
    environment_key: Secret | None,
) -> tuple[Account, ...]:
    """All accounts, in the order they are used.

    1. Token store and configuration together are the pool. A configured account named like a
       stored one gives its settings, and its key in place of the stored one if it has a key.
    2. The legacy file counts only if 1 gave nothing, 3. the environment's key only if 2 did too.

    Order: the primary account, then by priority; within one, subscriptions before API keys, then
    as listed, stored ones first. One account that is listed twice appears once.
    """
    listed = list(_listed(config, stored))
    if not listed and legacy:
        listed = [_from_store(legacy, config, "legacy")]
    if not listed and environment_key:
        listed = [_from_environment(environment_key, config)]
    primary = config.routing.primary_account
    groups = sorted(_same_accounts(listed), key=lambda group: _rank(group, primary))
    return tuple(_best(group) for group in groups)


def unused_settings(config: Config, pool: Iterable[Account]) -> tuple[str, ...]:
    """Names of configured accounts without a key for which nothing is stored either."""
    labels = {account.label for account in pool}
    return tuple(a.name for a in config.accounts if not a.api_key and a.name not in labels)


def unknown_account(name: str, labels: Sequence[str]) -> str:
    """What to say of a name that is no account's."""
    near = get_close_matches(name, labels, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    there = f"; there are: {', '.join(labels)}" if labels else "; there is none"
    return f"no account {name!r:.80}{hint or there}"


def missing_primary(config: Config, pool: Iterable[Account]) -> str | None:
    """The name that is to go first and is no account's."""
    primary = config.routing.primary_account
    return None if any(primary in (a.label, a.key) for a in pool) else primary


def _listed(config: Config, stored: Sequence[StoredAccount]) -> Iterator[Account]:
    configured = {account.name: account for account in config.accounts}
    for login in stored:
        settings = configured.pop(login.label, None)
        if settings and settings.api_key and settings.api_key != login.access_token:
            # another credential: what is known of the stored one says nothing about it
            yield _from_config(settings, settings.api_key, config)
        else:
            yield _from_store(login, config, "store")
    for settings in configured.values():
        if settings.api_key:
            yield _from_config(settings, settings.api_key, config)


def _from_store(login: StoredAccount, config: Config, source: Source) -> Account:
    account = replace(
        _account(login.label, login.access_token, config, source),
        account_uuid=login.account_uuid,
        organization_uuid=login.organization_uuid,
        email=login.email,
        expires_at=login.expires_at,
        refreshable=login.type == "oauth" and login.refresh_token is not None,
        disabled=login.disabled,
    )
    settings = next((each for each in config.accounts if each.name == login.label), None)
    return _with_settings(account, settings) if settings else account


def _from_config(settings: AccountConfig, key: Secret, config: Config) -> Account:
    return _with_settings(_account(settings.name, key, config, "config"), settings)


def _from_environment(key: Secret, config: Config) -> Account:
    return _account(ENVIRONMENT_LABEL, key, config, "environment")


def _account(label: str, secret: Secret, config: Config, source: Source) -> Account:
    return Account(
        key=f"{PROVIDER}{label}",
        label=label,
        type=account_type(secret),
        secret=secret,
        base_url=config.default_base_url,
        source=source,
    )


def _with_settings(account: Account, settings: AccountConfig) -> Account:
    return replace(
        account,
        base_url=settings.base_url or account.base_url,
        organization_uuid=account.organization_uuid or settings.org_id,
        weight=settings.weight,
        priority=settings.priority,
        enabled=settings.enabled,
        rate_limit=settings.rate_limit,
        max_concurrent=settings.max_concurrent,
        excluded_models=settings.excluded_models,
        proxy_url=settings.proxy_url,
        metadata=settings.metadata,
    )


def _same_accounts(listed: Iterable[Account]) -> list[list[Account]]:
    """The accounts in groups that are one and the same, in the order of their first."""
    groups: list[list[Account]] = []
    for account in listed:
        group = next((g for g in groups if any(_is_same(account, each) for each in g)), None)
        if group is None:
            groups.append([account])
        else:
            group.append(account)
    return groups


def _is_same(one: Account, other: Account) -> bool:
    """The same credential, or two logins to one account in one organisation."""
    if one.secret == other.secret:
        return True
    logins = one.source == other.source == "store"
    return logins and None not in _identity(one) and _identity(one) == _identity(other)


def _identity(account: Account) -> tuple[str | None, str | None]:
    return account.account_uuid, account.organization_uuid


def _best(group: list[Account]) -> Account:
    """The last to expire (only stored ones are known to), else the first."""
    return max(group, key=lambda account: account.expires_at or 0.0)


def _rank(group: list[Account], primary: str | None) -> tuple[bool, int, bool]:
    named = any(account.label == primary for account in group)
    best = _best(group)
    return not named, -best.priority, best.type != "oauth"
