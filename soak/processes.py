"""The processes of proxy and upstreams: start, end, start again."""

import json
import random
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Self

import psutil

from bench.children import child
from neurolink_mitm.sandbox import Script
from soak.fault_scripts import as_json

HOST = "127.0.0.1"
TIMEOUTS = {"connect": 1, "first-event": 2, "idle": 3, "total": 20}
_PORTS = range(20_000, 32_000)


@dataclass(frozen=True)
class Proxy:
    """The proxy under test. `output` is the file of its standard output and error."""

    pid: int
    port: int
    logs: Path
    output: Path


class Upstream:
    """One account's upstream. A restart keeps its port, records and key."""

    def __init__(self, name: str, kind: str, port: int, home: Path) -> None:
        self.name, self.port = name, port
        self.credential = f"sk-ant-{'oat' if kind == 'oauth' else 'api'}-soak-{name}"
        self.ledger = home / "ledger"
        self.usage = home / "usage"
        self.starts = 0
        self._kind = kind
        self._home = home
        self._running = ExitStack()
        self._pid = 0

    def __enter__(self) -> Self:
        self._home.mkdir()
        self.ledger.touch()
        self.usage.touch()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def start(self, script: Script) -> None:
        self.starts += 1
        account = {"name": self.name, "credential": self.credential, "kind": self._kind}
        file = self._home / "accounts.json"
        file.write_text(json.dumps([{**account, "script": as_json(script)}]))
        command = [sys.executable, "-m", "soak.upstream"]
        command += [str(file), str(self.port), str(self.ledger), str(self.usage)]
        # it ends when this pipe closes
        running = child(
            f"upstream {self.name}", command, self._home, self._accepts, stdin=subprocess.PIPE
        )
        self._pid = self._running.enter_context(running)

    def end(self, *, kill: bool = False) -> None:
        """End it, if it runs, by SIGTERM or SIGKILL."""
        if kill and self._pid:
            psutil.Process(self._pid).kill()
        self._pid = 0
        self._running.close()

    def _accepts(self) -> bool:
        with suppress(OSError), socket.create_connection((HOST, self.port), 1):
            return True
        return False


@contextmanager
def upstreams(kinds: Sequence[str], home: Path) -> Iterator[list[Upstream]]:
    """Yield an upstream for each kind of account, named a, b, c …, not started yet."""
    with ExitStack() as stack:
        ports = free_ports(len(kinds))
        yield [
            stack.enter_context(Upstream(chr(ord("a") + n), kind, port, home / f"upstream-{n}"))
            for n, (kind, port) in enumerate(zip(kinds, ports, strict=True))
        ]


@contextmanager
def proxy(accounts: Sequence[Upstream], home: Path) -> Iterator[Proxy]:
    """Run `neurolink proxy start` with these accounts."""
    home.mkdir()
    config = home / "proxy-config.json"
    config.write_text(json.dumps(_config(accounts)))
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "neurolink_mitm.cli", "proxy", "start"]
    command += ["--port", str(port), "--config", str(config), "--quiet"]
    settings = {
        "NEUROLINK_HOME": str(home / "neurolink"),
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        **{_variable(account): account.credential for account in accounts},
    }
    with (
        child("the proxy", command, home, lambda: _is_healthy(port), settings) as pid,
        _watchdog(pid, home / "watchdog"),
    ):
        yield Proxy(pid, port, home / "neurolink" / "logs", home / "output.log")


@contextmanager
def _watchdog(pid: int, home: Path) -> Iterator[None]:
    """The proxy, unlike an upstream, does not look whether the soak lives."""
    home.mkdir()
    command = [sys.executable, "-m", "soak.parent_watchdog", str(pid)]
    with child("the warden", command, home, lambda: True, stdin=subprocess.PIPE):
        yield


@contextmanager
def workplace() -> Iterator[Path]:
    # a process that is being killed may write a moment longer
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def free_ports(count: int) -> list[int]:
    """Return free ports below those of outgoing connections, which could take one during a restart.

    At random: another soak may run.
    """
    with ExitStack() as stack:
        ports: list[int] = []
        for port in random.sample(_PORTS, len(_PORTS)):
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind((HOST, port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise OSError(f"no {count} free ports in {_PORTS}")


def _config(accounts: Sequence[Upstream]) -> dict[str, object]:
    listed = [
        {
            "name": account.name,
            "apiKey": f"${{{_variable(account)}}}",
            "baseUrl": f"http://{HOST}:{account.port}",
        }
        for account in accounts
    ]
    return {
        "version": 1,
        "accounts": {"anthropic": listed},
        "routing": {"strategy": "round-robin", "session-affinity": True},
        "timeouts": TIMEOUTS,
    }


def _variable(account: Upstream) -> str:
    return f"SOAK_KEY_{account.name.upper()}"


def _is_healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, HTTPException), opener.open(f"http://{HOST}:{port}/health", timeout=2):
        return True
    return False
