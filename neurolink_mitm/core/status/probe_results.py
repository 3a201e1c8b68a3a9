"""Probe results: collected by `doctor/checks.py`, turned into diagnostics by `doctor/diagnostics.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from neurolink_mitm.core.pool.accounts import Account


@dataclass(frozen=True, slots=True)
class FileProbe:
    """A file or directory. `fault` is the reason why it can't be used."""

    path: str
    mode: int | None = None
    """None: it is missing."""
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigProbe:
    """The configuration file, with its faults and warnings."""

    path: str
    present: bool = False
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PortOwner:
    """The program that listens on a port; `pid` is None if this user may not see it."""

    pid: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class OtherProxy:
    """Another running proxy of this home."""

    url: str
    pid: int
    program: str = "neurolink"


@dataclass(frozen=True, slots=True)
class ProxyProbe:
    """The proxy of the state file, or of `port`."""

    port: int
    pid: int | None = None
    """None: no state file."""
    alive: bool = False
    url: str = ""
    status: Mapping[str, Any] | None = None
    """The answer of `/status`; None: there is none."""
    port_owner: PortOwner | None = None
    guard_pid: int | None = None
    guard_alive: bool = False
    detached: str | None = None
    """Why Claude Code is detached for now."""
    others: tuple[OtherProxy, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingsProbe:
    """Claude Code's `settings.json`; `env` are its variables that decide where requests go."""

    path: str
    present: bool = False
    fault: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    answered: bool | None = None
    """Whether a program listens at its base URL; None: there is none, or on another machine."""


Reached = Literal["ok", "name", "proxy", "connect", "certificate", "tls", "unchecked"]


@dataclass(frozen=True, slots=True)
class UpstreamProbe:
    """A base URL, and the step at which a connection to it fails."""

    url: str
    reached: Reached
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NoticesProbe:
    """The channels of notices that are on, and whether this machine has a desktop."""

    channels: tuple[str, ...]
    desktop: bool = True


@dataclass(frozen=True, slots=True)
class ServiceProbe:
    """The service of launchd or systemd. `running` is None if that can't be asked."""

    path: str
    installed: bool = False
    running: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResults:
    """All probe results. `unchecked` has the reasons for missing ones, by the probe's name."""

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
    """The fallback chain of the configuration, in the form of `/status`, for when no proxy runs."""
    other_tools: str | None = None
    """Who serves tools that speak OpenAI's API."""
    notices: NoticesProbe | None = None
    service: ServiceProbe | None = None
    cluster: Mapping[str, Any] | None = None
    """The part of `/status` on the cluster; None where the proxy is by itself."""
    disk_free: int | None = None
    """Bytes on the disk of logs and state."""
    leftovers: tuple[str, ...] = ()
    """Names of files that were set aside, or left by a killed writer."""
    unchecked: Mapping[str, str] = field(default_factory=dict)
