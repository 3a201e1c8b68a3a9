"""The secrets of this proxy, which are masked whatever their form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config

NAMES_A_SECRET = re.compile(r"(?i)key|token|secret|password|authorization|cookie|credential")
SHORTEST = 6
"""Characters of a secret at least: a shorter one would mask innocent text."""


def secrets_of(
    config: Config, accounts: Iterable[Account], environ: Mapping[str, str]
) -> Iterator[Secret]:
    """Yield the secrets of accounts, callers, other providers and the environment."""
    for account in accounts:
        yield account.secret
    yield from config.clients.api_keys
    for provider in config.providers.values():
        if provider.api_key:
            yield provider.api_key
    if config.notify.secret:
        yield config.notify.secret
    if config.cluster:
        yield from _of_url(config.cluster.url)
    for name, value in environ.items():
        if NAMES_A_SECRET.search(name):
            yield Secret(value)


def _of_url(url: Secret) -> Iterator[Secret]:
    """Yield the URL and its password, as it stands there and as it is meant."""
    yield url
    if password := urlsplit(url.reveal()).password:
        yield from (Secret(password), Secret(unquote(password)))


def encoded_forms(secrets: Iterable[Secret]) -> tuple[str, ...]:
    """Return the secrets as a body or a URL may encode them."""
    return tuple(dict.fromkeys(form for secret in secrets for form in _forms(secret)))


@lru_cache(maxsize=1024)
def _forms(secret: Secret) -> tuple[str, ...]:
    text = secret.reveal()
    if len(text) < SHORTEST:
        return ()
    # in JSON, and in JSON that is quoted within JSON
    inside, plainly = json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
    twice = (json.dumps(inside)[1:-1], json.dumps(plainly, ensure_ascii=False)[1:-1])
    return text, inside, plainly, *twice, inside.replace("/", "\\/"), quote(text, safe="")
