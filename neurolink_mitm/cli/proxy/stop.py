"""`neurolink proxy stop`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

import click

from neurolink_mitm.adapters.state_file import ProxyState, is_running
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.options import port_option
from neurolink_mitm.cli.ui.running import listed, named, running_state, running_states
from neurolink_mitm.service.units import stop_limit


@click.command("stop")
@port_option("Of several proxies, stop the one on this port.")
@click.option("-a", "--all", "every", is_flag=True, help="Stop all proxies of this home.")
def command(port: int | None, every: bool) -> None:
    """Stop the proxy; streams under way get 30 seconds to finish.

    Where several run, say which: with --port, or --all.

    Example: neurolink proxy stop --port 8080
    """
    stop(_chosen(port, every=every))


def _chosen(port: int | None, *, every: bool) -> tuple[ProxyState, ...]:
    if port is not None and every:
        fail("say either --port or --all", USAGE)
    running = running_states()
    if port is not None or not running:
        return (running_state(port),)
    if len(running) > 1 and not every:
        text = f"{len(running)} proxies run: {listed(running)}; say which with --port, or --all"
        fail(text, USAGE)
    return running


def stop(states: Iterable[ProxyState]) -> None:
    """Signal all proxies at once, then wait for each."""
    states = tuple(states)
    for state in states:
        tell_to_stop(state.pid)
    for state in states:
        wait_for_end(state.pid, state.pid_started, state.drain)
        click.echo(f"stopped ({named(state)})")


def tell_to_stop(pid: int) -> None:
    """Send SIGTERM; a process that has ended meanwhile needs none."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        fail(
            f"the proxy (pid {pid}) runs as another user: stop it as that one, or with sudo", FAILED
        )


def wait_for_end(pid: int, started: float, drain: float) -> None:
    """Wait until a proxy that was told to stop has ended; `drain` is its `timeouts.drain`."""
    limit = stop_limit(drain)
    began, waiting = time.monotonic(), False
    while is_running(pid, started):
        waited = time.monotonic() - began
        if waited > limit:
            fail(f"process {pid} did not stop within {limit} s", FAILED)
        if not waiting and waited > 1:
            waiting = True
            click.echo(
                f"waiting for streams under way to finish, at most {drain:g} s (timeouts.drain),"
                " and for a balancer that asks /ready to notice …",
                err=True,
            )
        time.sleep(0.05)
