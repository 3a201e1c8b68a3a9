"""What the doctor knows of this machine: gathered by `doctor/checks.py`, judged by `doctor/diagnostics.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neurolink_mitm.core.pool.accounts import Account


@dataclass(frozen=True, slots=True)
class FileProbe:
    """A file or directory. `fault` says why it can't be used; it is none of ours where nothing is there."""

    path: str
    mode: int | None = None
    """None: there is none."""
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigProbe:
    path: str
    present: bool = False
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Who serves an address; `pid` is None where this user may not know."""

    pid: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OtherProxy:
    """Another proxy of this home that runs."""

    url: str
    pid: int
    program: str = "neurolink"


@dataclass(frozen=True, slots=True)
class ProxyProbe:
    """What the state file says of the proxy, and whether that is so. `port` is the one to look at."""

    port: int
    pid: int | None = None
    """None: no state file."""
    alive: bool = False
    url: str = ""
    status: Mapping[str, Any] | None = None
    """What `/status` answers; None: nothing does."""
    port_owner: PortOwner | None = None
    """Whoever holds the port."""
    guard_pid: int | None = None
    guard_alive: bool = False
    detached: str | None = None
    """Why Claude Code does not come to it for now."""
    others: tuple[OtherProxy, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingsProbe:
    """Claude Code's `settings.json`; `env` has what of its `env` concerns the way to the proxy."""

    path: str
    present: bool = False
    fault: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    answered: bool | None = None
    """Whether somebody listens where it points; None: it points nowhere, or beyond this machine."""


Reached = Literal["ok", "name", "proxy", "connect", "certificate", "tls", "unchecked"]


@dataclass(frozen=True, slots=True)
class UpstreamProbe:
    """A base URL, and how far one gets with it."""

    url: str
    reached: Reached
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """The service of this user: launchd's or systemd's. `running` is None where nobody can say."""

    path: str
    installed: bool = False
    running: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResults:
    """All of it. What could not be found out is missing, and `unchecked` says why by the check's name."""

    now: float
    python: tuple[int, ...]
    mitmproxy: str | None
    home: FileProbe | None
    """None: neither NEUROLINK_HOME nor HOME is set."""
    files: tuple[FileProbe, ...] = ()
    config: ConfigProbe | None = None
    accounts: tuple[Account, ...] | None = None
    skew: float | None = None
    """Seconds that this machine's clock is ahead of upstream's."""
    proxy: ProxyProbe | None = None
    settings: SettingsProbe | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    upstreams: tuple[UpstreamProbe, ...] = ()
    fallback: tuple[Mapping[str, object], ...] = ()
    """Other providers' models that the configuration names, in the form of `/status`, for when no proxy runs."""
    service: Service | None = None
    disk_free: int | None = None
    """Bytes, where logs and state lie."""
    leftovers: tuple[str, ...] = ()
    """Names of files that were set aside or left by a writer that was killed."""
    unchecked: Mapping[str, str] = field(default_factory=dict)
