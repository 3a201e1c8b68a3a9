"""The definition of the proxy's service: a launchd property list, or a systemd unit."""

from __future__ import annotations

import math
import plistlib
from collections.abc import Mapping
from dataclasses import dataclass, field

LABEL = "dev.neurolink.proxy"
UNIT = "neurolink-proxy.service"
THROTTLE = 5
"""Seconds between a crash and the next start."""
REST = 45
"""Seconds to stop beside `timeouts.drain`: a balancer notices, logins under refresh are written, files are flushed."""


def stop_limit(drain: float) -> int:
    """Return the seconds until a proxy that stops is killed; `drain` is `timeouts.drain`."""
    return math.ceil(drain) + REST


@dataclass(frozen=True, slots=True)
class Service:
    """The service: `program` is the command line of `neurolink`, `arguments` are those of `proxy start`."""

    program: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    log: str = "/dev/null"
    """File for the output under launchd; systemd has its journal."""
    drain: float = 30.0
    """`timeouts.drain`, in seconds."""

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.program, "proxy", "start", *self.arguments)


def plist(service: Service) -> bytes:
    """Return the launchd.plist(5). The guard runs in a session of its own, so launchd leaves it alone."""
    return plistlib.dumps(
        {
            "Label": LABEL,
            "ProgramArguments": list(service.command),
            "EnvironmentVariables": dict(service.environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": THROTTLE,
            "ExitTimeOut": stop_limit(service.drain),
            "Umask": 0o077,
            "StandardOutPath": service.log,
            "StandardErrorPath": service.log,
        },
        sort_keys=False,
    )


# ExecStopPost: when the proxy dies, systemd ends its guard too; this command does the guard's work.
# RestartPreventExitStatus: a faulty configuration (2) does not repair itself.
# Hardening without namespaces only: PrivateTmp, ProtectSystem and their like
# keep a user's service from starting where user namespaces are restricted, as on Ubuntu since 23.10.
_UNIT = """\
[Unit]
Description=NeuroLink, a local proxy for Claude Code
StartLimitIntervalSec=0

[Service]
Type=exec
{environment}ExecStart={start}
ExecStopPost=-{put_back}
Restart=on-failure
RestartSec={throttle}
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec={stop_limit}
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""


def unit(service: Service) -> str:
    """Return the systemd.service(5). Raises `ValueError` for a control character, which no line can hold."""
    settings = (f"{name}={value}" for name, value in service.environment.items())
    return _UNIT.format(
        environment="".join(f"Environment={_quoted(each)}\n" for each in settings),
        start=_command(service.command),
        put_back=_command((*service.program, "proxy", "guard")),
        throttle=THROTTLE,
        stop_limit=stop_limit(service.drain),
    )


def _command(words: tuple[str, ...]) -> str:
    return " ".join(_quoted(word).replace("$", "$$") for word in words)


def _quoted(word: str) -> str:
    """Quote `word` as systemd.syntax(7) says; a `%` would begin a specifier."""
    if any(ord(letter) < 32 for letter in word):
        raise ValueError(f"a service can't hold a control character: {word!r}")
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
