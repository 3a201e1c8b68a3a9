"""Which names of a proxy its certificate is for: RFC 9525 section 6.3."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def covers(names: Collection[str], host: str) -> bool:
    """Return whether a certificate with these names is for `host`; a wildcard stands for one label."""
    _, dot, parent = host.partition(".")
    return host in names or (bool(dot and parent) and f"*.{parent}" in names)


def first_covered(names: Collection[str], hosts: Iterable[str]) -> str | None:
    """Return the first of `hosts` that the certificate is for."""
    return next((host for host in hosts if covers(names, host)), None)
