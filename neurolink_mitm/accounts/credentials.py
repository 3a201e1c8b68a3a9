"""What a login or a pasted credential becomes before it is stored: an account with its default label."""

from __future__ import annotations

from dataclasses import dataclass

from neurolink_mitm.adapters.oauth_client import OAuthClient
from neurolink_mitm.core.auth.credentials import StoredAccount, check_key, check_setup_token
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config

NOT_TRIED = (
    "it was not tried, the first request will tell; and it can't be refreshed: when it ends, run"
    " `claude setup-token` and log in again"
)


@dataclass(frozen=True, slots=True)
class NewCredential:
    """An account with its default label, and a note for its owner."""

    account: StoredAccount
    note: str | None = None


def from_tokens(tokens: Tokens) -> NewCredential:
    """Return the account of a login in the browser."""
    return NewCredential(tokens.as_login(tokens.email or "account"))


def from_key(key: Secret) -> NewCredential:
    return NewCredential(StoredAccount("api-key", key))


def from_new_key(key: Secret, tokens: Tokens) -> NewCredential:
    """Return the account of a key that was created by the login `tokens`."""
    # without the ids of the login: key and login are two accounts of the pool
    label = f"{tokens.email}-key" if tokens.email else "api-key"
    name = tokens.organization_name
    return NewCredential(StoredAccount(label, key, email=tokens.email, organization_name=name))


def from_setup_token(token: Secret) -> NewCredential:
    return NewCredential(StoredAccount("setup-token", token), NOT_TRIED)


def from_pasted(text: str) -> NewCredential:
    """Return the account of an API key, or of a token of `claude setup-token`. Raises `ValueError` with advice."""
    if text.strip().startswith("sk-ant-oat"):
        return from_setup_token(check_setup_token(text))
    return from_key(check_key(text))


def try_key(client: OAuthClient, key: Secret, label: str | None, config: Config) -> None:
    """Ask upstream, as the account `label` would, whether it takes the key. Raises `LoginError`."""
    own = next((each for each in config.accounts if each.name == label), None)
    url = own.base_url if own and own.base_url else config.default_base_url
    client.check_api_key(key, url, own.proxy_url if own else None)


def shadowed(label: str, config: Config) -> str | None:
    """Return a note where the configuration has another key for the account."""
    if any(each.name == label and each.api_key for each in config.accounts):
        return f"the configuration has an apiKey of its own for {label!r}, and that one is used"
    return None
