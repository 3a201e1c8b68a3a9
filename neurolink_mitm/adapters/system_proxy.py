"""The HTTP proxy that this machine's environment names."""

from __future__ import annotations

from dataclasses import replace
from urllib.request import getproxies, proxy_bypass

from neurolink_mitm.core.access import is_loopback
from neurolink_mitm.core.accounts import Account
from neurolink_mitm.core.target import Target


def through_proxy(account: Account) -> Account:
    """With the environment's proxy, unless the account has one of its own, or `direct`, or is on this machine."""
    target = Target.parse(account.base_url)
    if account.proxy_url or is_loopback(target.host):
        return account
    proxies = getproxies()
    if proxy_bypass(target.host):
        return account
    return replace(account, proxy_url=proxies.get(target.scheme))
