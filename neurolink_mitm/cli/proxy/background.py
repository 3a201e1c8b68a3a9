"""Starts the proxy in the background, by itself or by a service manager, and waits until it serves."""

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
from neurolink_mitm.cli.ui.options import listen_options
from neurolink_mitm.cli.ui.running import choose
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.settings.values import Timeouts
from neurolink_mitm.service.units import Service

START = "--- started "
"""Begins the line of the log at which a process starts to write."""
START_LIMIT = 20.0
"""Seconds after which a start has failed."""
PROGRAM = (sys.executable, "-P", "-m", "neurolink_mitm.cli")
HAND_ON = (
    "NEUROLINK_HOME", "NEUROLINK_ENV_FILE", "NEUROLINK_LOG_LEVEL", "NEUROLINK_TOKEN_STORE",
    "CLAUDE_CONFIG_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY",
    "https_proxy", "http_proxy", "all_proxy", "no_proxy",
)  # fmt: skip
"""Variables that a service would not have. Keys are not among them: they belong into .env."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The options of `proxy start` for a proxy in the background."""

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
    """Add the options of `ServiceOptions`."""
    path = click.Path(path_type=Path, exists=True, dir_okay=False)
    for option in (
        click.option("--env-file", type=path, help="File of keys for the proxy, as NAME=value."),
        click.option("-c", "--config", type=path, help="Configuration file for the proxy."),
        listen_options(1, "Port to listen on.", "Address to listen on."),
    ):
        command = option(command)
    return command


def service(home: Home, options: ServiceOptions) -> Service:
    """Return the proxy as a service manager has to start it."""
    environment = {name: os.environ[name] for name in HAND_ON if os.environ.get(name)}
    log, drain = str(home.logs / "service.log"), _drain(options.config or home.config)
    return Service(PROGRAM, options.arguments, environment, log, drain)


def _drain(config: Path) -> float:
    """Return `timeouts.drain`; the default of a configuration that can't be read, which the start refuses."""
    from neurolink_mitm.config.file import load
    from neurolink_mitm.core.settings.errors import ConfigError

    try:
        return load(config, os.environ, required=False).config.timeouts.drain
    except ConfigError:
        return Timeouts().drain


def serving(home: Home) -> ProxyState | None:
    """Return the proxy of this home, if it runs and answers."""
    state = choose(StateFile(home.state).running(), None)
    return state if state and http_client.get_json(f"{state.url}/health") else None


def start(home: Home, options: ServiceOptions) -> tuple[ProxyState | None, Path]:
    """Start the proxy detached from this terminal. Return where it serves, if it does, and its log."""
    home.create()
    log = home.logs / "service.log"
    descriptor = open_log(log)
    try:
        os.write(descriptor, f"{START}{iso(time.time())}\n".encode())
        process = subprocess.Popen(
            [*PROGRAM, "proxy", "start", *options.arguments],
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
    """Wait until a proxy with another pid than `other_than` serves; None if `goes_on` ends that, or the time does."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and goes_on():
        state = serving(home)
        if state and state.pid != other_than:
            return state
        time.sleep(0.05)
    return None


def last_words(lines: Iterable[str]) -> str:
    """Return the last line that the last process wrote to the log."""
    last = ""
    for line in lines:
        last = "" if line.startswith(START) else line.strip() or last
    return last.removeprefix("neurolink: ") or "it said nothing"
