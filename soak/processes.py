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
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Self

import psutil

from bench.children import child
from neurolink_mitm.sandbox import Script
from soak.connect_proxy import AUTHORITY, HOST, basic
from soak.fault_scripts import as_json
from soak.records import Records

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

    def __init__(self, name: str, kind: str, port: int, certificate: Path, folder: Path) -> None:
        self.name, self.port = name, port
        self.credential = f"sk-ant-{'oat' if kind == 'oauth' else 'api'}-soak-{name}"
        self.records = Records(folder)
        self.starts = 0
        self._kind = kind
        self._certificate = certificate
        self._running = ExitStack()
        self._pid = 0

    def __enter__(self) -> Self:
        self.records.touch()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def start(self, script: Script) -> None:
        self.starts += 1
        account = {"name": self.name, "credential": self.credential, "kind": self._kind}
        self.records.accounts.write_text(json.dumps([{**account, "script": as_json(script)}]))
        command = [sys.executable, "-m", "soak.upstream"]
        command += [str(self.records.folder), str(self.port), str(self._certificate)]
        running = _serving(f"upstream {self.name}", command, self.records.folder, self.port)
        self._pid = self._running.enter_context(running)

    def end(self, *, kill: bool = False) -> None:
        """End it, if it runs, by SIGTERM or SIGKILL."""
        if kill and self._pid:
            psutil.Process(self._pid).kill()
        self._pid = 0
        self._running.close()


class Tunnels:
    """The HTTP proxy of accounts, each with a login of its own."""

    def __init__(self, port: int, accounts: Sequence[Upstream], home: Path) -> None:
        self.accounts = accounts
        self.record = home / "connects"
        self._port = port
        self._home = home

    def login_url(self, account: Upstream) -> str:
        return f"http://{account.name}:{_password(account)}@{HOST}:{self._port}"

    @contextmanager
    def serving(self) -> Iterator[None]:
        self._home.mkdir()
        self.record.touch()
        routes = self._home / "routes.json"
        logins = {basic(a.name, _password(a)): (a.name, a.port) for a in self.accounts}
        routes.write_text(json.dumps(logins))
        command = [sys.executable, "-m", "soak.connect_proxy"]
        command += [str(self._port), str(routes), str(self.record)]
        with _serving("the HTTP proxy", command, self._home, self._port):
            yield


def _password(account: Upstream) -> str:
    return f"pass-{account.name}"


@contextmanager
def _serving(name: str, command: list[str], home: Path, port: int) -> Iterator[int]:
    """Yield the pid of a process that serves on `port` and ends when its standard input closes."""
    with child(name, command, home, partial(_accepts, port), stdin=subprocess.PIPE) as pid:
        yield pid


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


@contextmanager
def upstreams(
    kinds: Sequence[str], tunnelled: int, certificate: Path, home: Path
) -> Iterator[tuple[list[Upstream], Tunnels]]:
    """Yield an upstream for each kind of account, named a, b, c …, not started yet.

    The first `tunnelled` of them are reached through the HTTP proxy.
    """
    with ExitStack() as stack:
        proxy_port, *ports = free_ports(len(kinds) + 1)
        accounts = [
            stack.enter_context(
                Upstream(chr(ord("a") + n), kind, port, certificate, home / f"upstream-{n}")
            )
            for n, (kind, port) in enumerate(zip(kinds, ports, strict=True))
        ]
        tunnels = Tunnels(proxy_port, accounts[:tunnelled], home / "tunnels")
        stack.enter_context(tunnels.serving())
        yield accounts, tunnels


@contextmanager
def proxy(
    accounts: Sequence[Upstream], tunnels: Tunnels, authority: Path, home: Path
) -> Iterator[Proxy]:
    """Run `neurolink proxy start` with these accounts; it trusts `authority`."""
    home.mkdir()
    config = home / "proxy-config.json"
    config.write_text(json.dumps(_config(accounts, tunnels)))
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "neurolink_mitm.cli", "proxy", "start"]
    command += ["--port", str(port), "--config", str(config), "--quiet"]
    settings = {
        "NEUROLINK_HOME": str(home / "neurolink"),
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        "SSL_CERT_FILE": str(authority),
        **{_variable(account): account.credential for account in accounts},
        **{_login(account): tunnels.login_url(account) for account in tunnels.accounts},
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


def _config(accounts: Sequence[Upstream], tunnels: Tunnels) -> dict[str, object]:
    listed = [
        {
            "name": account.name,
            "apiKey": f"${{{_variable(account)}}}",
            **(
                {"baseUrl": f"https://{AUTHORITY}", "proxyUrl": f"${{{_login(account)}}}"}
                if account in tunnels.accounts
                else {"baseUrl": f"https://{HOST}:{account.port}"}
            ),
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


def _login(account: Upstream) -> str:
    return f"SOAK_LOGIN_{account.name.upper()}"


def _is_healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, HTTPException), opener.open(f"http://{HOST}:{port}/health", timeout=2):
        return True
    return False
