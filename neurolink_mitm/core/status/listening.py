"""What is reported of the way from callers to the proxy, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol

from neurolink_mitm.core.auth.certificate_names import covers
from neurolink_mitm.core.auth.loopback import is_loopback

SOON = 14 * 86_400.0
"""Seconds before its end at which a certificate should have been renewed."""
IN_CLEAR = (
    "callers on other machines come in plain HTTP, so that keys and conversations can be read on the way: set"
    " listen.cert and listen.key, unless a balancer in front of the proxy speaks TLS with them"
)


class Certificate(Protocol):
    """The certificate. Times are seconds since the epoch."""

    @property
    def path(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def begins(self) -> float: ...
    @property
    def ends(self) -> float: ...


def listen_report(
    host: str, certificate: Certificate | None, hosts: Sequence[str], now: float
) -> dict[str, object]:
    """Return the part of `/status`, of a proxy on `host` with these `listen.hosts`."""
    warnings = [*exposure(host, certificate, hosts)]
    shown = None
    if certificate:
        warnings += validity(certificate.path, certificate.begins, certificate.ends, now)
        shown = {
            "path": certificate.path,
            "sha256": certificate.fingerprint,
            "names": list(certificate.names),
            "until": _iso(certificate.ends),
        }
    return {"certificate": shown, "hosts": list(hosts), "warnings": warnings}


def exposure(host: str, certificate: Certificate | None, hosts: Sequence[str]) -> Iterator[str]:
    """Yield what callers from other machines meet."""
    if certificate is None:
        if not is_loopback(host):
            yield IN_CLEAR
        return
    for each in hosts:
        if not covers(certificate.names, each):
            yield (
                f"listen.hosts: {certificate.path} is not for {each}: callers who come by that name refuse it,"
                " unless a balancer speaks TLS with them"
            )


def validity(path: str, begins: float, ends: float, now: float) -> Iterator[str]:
    """Yield what is wrong with the time of a certificate."""
    if now < begins:
        yield f"listen.cert: {path}: is not valid before {day(begins)}: callers refuse it"
    if now > ends:
        yield f"listen.cert: {path}: has expired on {day(ends)}: callers refuse it"
    elif ends - now < SOON:
        yield f"listen.cert: {path}: expires on {day(ends)}, in {(ends - now) / 86_400:.0f} days"


def day(moment: float) -> str:
    """Return the day of a time as `2026-11-29`, in UTC as certificates have it."""
    return _utc(moment).strftime("%Y-%m-%d")


def _iso(moment: float) -> str:
    return _utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
