"""The proxy as something that runs by itself: how it is called, and how to wait until it serves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.log_trim import open_log
from neurolink_mitm.adapters.state_file import ProxyState, StateFile
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.service.units import Service

START = "--- started "
"""Begins a line of the log: what is below it was said by one process."""
START_LIMIT = 20.0
"""Seconds until a proxy that was started has to serve."""
PROGRAM = (sys.executable, "-P", "-m", "neurolink_mitm.cli")
HAND_ON = (
    "NEUROLINK_HOME", "NEUROLINK_ENV_FILE", "NEUROLINK_LOG_LEVEL", "NEUROLINK_TOKEN_STORE",
    "CLAUDE_CONFIG_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY",
    "https_proxy", "http_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""Of the environment: what a service would not have. Keys are not among them, they belong into .env."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What the proxy shall be started with."""

    port: int
    host: str
    config: Path | None
    env_file: Path | None

    @property
    def arguments(self) -> tuple[str, ...]:
        files = (("--config", self.config), ("--env-file", self.env_file))
        named = [(option, str(path.absolute())) for option, path in files if path]
        words = (word for pair in named for word in pair)
        return ("--quiet", "--port", str(self.port), "--host", self.host, *words)


def start_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `proxy start` that matter to a proxy in the background; the port is one that stays."""
    path = click.Path(path_type=Path, exists=True, dir_okay=False)
    for option in (
        click.option("--env-file", type=path, help="File of keys for the proxy, as NAME=value."),
        click.option("-c", "--config", type=path, help="Configuration file for the proxy."),
        click.option(
            "-H", "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
        ),
        click.option(
            "-p",
            "--port",
            type=click.IntRange(1, 65535),
            default=55669,
            show_default=True,
            help="Port to listen on.",
        ),
    ):
        command = option(command)
    return command


def service(home: Home, asked: ServiceOptions) -> Service:
    """The proxy as a service manager has to start it."""
    environment = {name: os.environ[name] for name in HAND_ON if os.environ.get(name)}
    return Service(PROGRAM, asked.arguments, environment, str(home.logs / "service.log"))


def serving(home: Home) -> ProxyState | None:
    """The proxy of this home, if it runs and answers."""
    state = StateFile(home.state).read()
    if state is None or not state.alive:
        return None
    return state if http_client.get_json(f"{state.url}/health") else None


def start(home: Home, asked: ServiceOptions) -> tuple[ProxyState | None, Path]:
    """Start it detached from this terminal. Where it serves, None if it does not, and what it said."""
    home.create()
    log = home.logs / "service.log"
    descriptor = open_log(log)
    try:
        os.write(descriptor, f"{START}{iso(time.time())}\n".encode())
        process = subprocess.Popen(
            [*PROGRAM, "proxy", "start", *asked.arguments],
            cwd=home.root, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor,
        )  # fmt: skip
    finally:
        os.close(descriptor)
    state = wait(home, lambda: process.poll() is None)
    process.returncode = 0  # it is to outlive us: no warning that it runs
    return state, log


def wait(
    home: Home, goes_on: Callable[[], bool] = lambda: True, other_than: int | None = None
) -> ProxyState | None:
    """Until one with another pid serves, or it is not worth waiting for any more."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and goes_on():
        state = serving(home)
        if state and state.pid != other_than:
            return state
        time.sleep(0.05)
    return None


def last_words(lines: Iterable[str]) -> str:
    """What a program said at its end; what those before it said is not its own."""
    said: list[str] = []
    for line in lines:
        if line.startswith(START):
            said.clear()
        elif line.strip():
            said.append(line.strip())
    return said[-1].removeprefix("neurolink: ") if said else "it said nothing"
