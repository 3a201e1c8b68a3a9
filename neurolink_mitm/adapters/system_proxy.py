"""The HTTP proxy that this machine's environment names."""

from __future__ import annotations

from dataclasses import replace
from urllib.request import getproxies, proxy_bypass

from neurolink_mitm.core.access import is_loopback
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.target import Target


def through_proxy(account: Account) -> Account:
    """With the environment's proxy, unless the account has one of its own, or `direct`, or is on this machine."""
    if account.proxy_url:
        return account
    proxy = proxy_for(account.base_url)
    return replace(account, proxy_url=proxy) if proxy else account


def proxy_for(url: str) -> str | None:
    """The environment's, or None where it names none for this URL."""
    target = Target.parse(url)
    if is_loopback(target.host) or proxy_bypass(target.host):
        return None
    return getproxies().get(target.scheme)
