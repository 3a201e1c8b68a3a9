from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address


@lru_cache(maxsize=64)  # parsing an address takes a fifth of the judgement of a head
def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def ipv6(address: str) -> str:
    """Return an IPv6 address in its short form, RFC 5952; empty if it is none."""
    try:
        return str(IPv6Address(address))
    except ValueError:
        return ""
