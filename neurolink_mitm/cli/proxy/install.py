"""`neurolink proxy install`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.cli.proxy import background
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.service.manager import ServiceError, ServiceManager, check_usable, find

INSTEAD = (
    "start the proxy in the background with `neurolink proxy setup --no-service`, or run"
    " `neurolink proxy start` under a supervisor of your own (--print shows a unit)"
)


@click.command("install")
@background.start_options
@click.option("--print", "show", is_flag=True, help="Only print what would be installed.")
def command(port: int, host: str, config: Path | None, env_file: Path | None, show: bool) -> None:
    """Install the proxy as a service (launchd, systemd).

    It starts at login, and again 5 seconds after a crash.

    Example: neurolink proxy install --port 55669
    """
    place = home()
    options = background.ServiceOptions(port, host, config, env_file)
    try:
        manager = find(os.environ)
        if show:
            click.echo(manager.text(background.service(place, options)), nl=False)
            return
        url = install(manager, place, options)
    except ServiceError as e:
        fail(f"{e}; {INSTEAD}", FAILED)
    click.echo(f"installed as {manager.path}; it serves {url}")


def install(manager: ServiceManager, place: Home, options: background.ServiceOptions) -> str:
    """Install the service, wait until it serves, and return its URL. Raises `ServiceError`."""
    check_usable(manager)
    if "/archive-v" in sys.executable:  # of uvx, which may clean it any day
        raise ServiceError(
            f"{sys.executable} is in a cache that won't stay: install NeuroLink for good"
            " (uv tool install neurolink-mitm)"
        )
    running = background.serving(place)
    if running and not manager.path.exists():
        fail(
            f"a proxy runs at {running.caller_url} (pid {running.pid}), which is not the service's:"
            " stop it first with: neurolink proxy stop",
            FAILED,
        )
    place.create()
    place.logs.mkdir(mode=0o700, exist_ok=True)
    manager.install(background.service(place, options))
    state = background.wait(place, other_than=running.pid if running else None)
    if state is None:
        fail(
            f"installed as {manager.path}, but it does not serve; see"
            f" journalctl --user -u neurolink-proxy, or {place.logs / 'service.log'} on macOS",
            FAILED,
        )
    return state.caller_url
