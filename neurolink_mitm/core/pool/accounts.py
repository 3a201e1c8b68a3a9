"""The accounts of the pool, with their settings, in order.

`build_pool` makes them from the token store, the configuration, the legacy file and the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Literal

from neurolink_mitm.core.auth.credentials import PROVIDER, StoredAccount, account_type
from neurolink_mitm.core.pool.pauses import Pause
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import AccountConfig, Config, Routing

AccountSource = Literal["store", "config", "legacy", "environment"]
ENVIRONMENT_LABEL = "env"
ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class Account:
    """An account at Anthropic, or a model of another provider (a fallback)."""

    key: str
    """`anthropic:<label>`, unique in the pool."""
    label: str
    type: Literal["oauth", "api_key", "provider"]
    """`provider`: a model of another provider."""
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
    """Wildcards of models."""
    proxy_url: str | None = field(default=None, repr=False)
    """HTTP proxy, perhaps with credentials; `direct` ignores the environment's."""
    expires_at: float | None = None
    """End of the access token, seconds since the epoch."""
    refreshable: bool = False
    """Whether the store holds a refresh token for it."""
    disabled: str | None = None
    """Why it serves no requests until the next login."""
    paused: Pause | None = None
    """A pause, which may be over."""
    source: AccountSource = "config"
    metadata: Mapping[str, object] = field(default_factory=dict, hash=False)
    provider: str = ANTHROPIC
    model: str | None = None
    """The model that a fallback serves, whatever the client asks for."""

    @property
    def is_anthropic(self) -> bool:
        return self.provider == ANTHROPIC

    def has_ended(self, now: float) -> bool:
        """Return whether its token has expired."""
        return self.expires_at is not None and self.expires_at <= now


def build_pool(
    config: Config,
    stored: Sequence[StoredAccount],
    legacy: StoredAccount | None,
    environment_key: Secret | None,
) -> tuple[Account, ...]:
    """Return all accounts in order.

    Sources: 1. Token store and configuration. A configured account of a stored one's name gives it its settings, and
    its key, if it has one, in place of the stored credential. 2. If there are none, the legacy file. 3. If there is
    none, the environment's key.

    Order: the primary account, then by priority; within one, subscriptions before API keys, then by
    `routing.account-order`, then as listed, stored ones first. An account that is listed twice appears once.
    """
    listed = list(_listed(config, stored))
    if not listed and legacy:
        settings = next((each for each in config.accounts if each.name == legacy.label), None)
        listed = [_from_store(legacy, settings, config, "legacy")]
    if not listed and environment_key:
        listed = [_account(ENVIRONMENT_LABEL, environment_key, config, "environment")]
    groups = sorted(_same_accounts(listed), key=lambda group: _rank(group, config.routing))
    return tuple(_best(group) for group in groups)


def with_pauses(accounts: Iterable[Account], pauses: Mapping[str, Pause]) -> tuple[Account, ...]:
    """Return the accounts, each with its pause."""
    if not pauses:
        return tuple(accounts)
    return tuple(replace(each, paused=pauses.get(each.key)) for each in accounts)


def unused_settings(config: Config, pool: Iterable[Account]) -> tuple[str, ...]:
    """Return the names of configured accounts without a credential, configured or stored."""
    labels = {account.label for account in pool}
    return tuple(a.name for a in config.accounts if not a.api_key and a.name not in labels)


def unknown_account(name: str, labels: Sequence[str]) -> str:
    """Return the message for a name that is no account's."""
    near = get_close_matches(name, labels, n=1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    all_labels = f"; there are: {', '.join(labels)}" if labels else "; there is none"
    return f"no account {name!r:.80}{hint or all_labels}"


def missing_primary(config: Config, pool: Iterable[Account]) -> str | None:
    """Return the configured primary account if there is no such account."""
    primary = config.routing.primary_account
    return None if any(primary in (a.label, a.key) for a in pool) else primary


def missing_in_order(config: Config, pool: Iterable[Account]) -> tuple[str, ...]:
    """Return the labels of `routing.account-order` that are no account's."""
    labels = {account.label for account in pool}
    return tuple(label for label in config.routing.account_order if label not in labels)


def _listed(config: Config, stored: Sequence[StoredAccount]) -> Iterator[Account]:
    configured = {account.name: account for account in config.accounts}
    for login in stored:
        settings = configured.pop(login.label, None)
        if settings and settings.api_key and settings.api_key != login.access_token:
            # another credential: identity and expiry of the stored one are not its own
            yield _from_config(settings, settings.api_key, config)
        else:
            yield _from_store(login, settings, config, "store")
    for settings in configured.values():
        if settings.api_key:
            yield _from_config(settings, settings.api_key, config)


def _from_store(
    login: StoredAccount, settings: AccountConfig | None, config: Config, source: AccountSource
) -> Account:
    account = replace(
        _account(login.label, login.access_token, config, source),
        account_uuid=login.account_uuid,
        organization_uuid=login.organization_uuid,
        email=login.email,
        expires_at=login.expires_at,
        refreshable=login.type == "oauth" and login.refresh_token is not None,
        disabled=login.disabled,
    )
    return _with_settings(account, settings) if settings else account


def _from_config(settings: AccountConfig, key: Secret, config: Config) -> Account:
    return _with_settings(_account(settings.name, key, config, "config"), settings)


def _account(label: str, secret: Secret, config: Config, source: AccountSource) -> Account:
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
    """Group the entries of one account, in the order of their first."""
    groups: list[list[Account]] = []
    first: dict[object, int] = {}
    """By mark, the first group that has it."""
    for account in listed:
        marks = _marks(account)
        at = min((first[mark] for mark in marks if mark in first), default=len(groups))
        if at == len(groups):
            groups.append([])
        groups[at].append(account)
        first |= dict.fromkeys(marks, at)
    return groups


def _marks(account: Account) -> tuple[object, ...]:
    """Return what two entries of one account share: a credential, or for logins account and organisation."""
    identity = (account.account_uuid, account.organization_uuid)
    if account.source != "store" or None in identity:
        return (account.secret,)
    return account.secret, identity


def _best(group: list[Account]) -> Account:
    """Return the one that may serve and expires last, else the first."""
    return max(group, key=lambda a: (a.enabled and not a.disabled, a.expires_at or 0.0))


def _rank(group: list[Account], routing: Routing) -> tuple[bool, int, bool, int]:
    labels, order = {account.label for account in group}, routing.account_order
    best = _best(group)
    place = next((n for n, label in enumerate(order) if label in labels), len(order))
    return routing.primary_account not in labels, -best.priority, best.type != "oauth", place
