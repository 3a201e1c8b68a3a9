"""`neurolink proxy stop`."""

from __future__ import annotations

import os
import signal
import time

import click

from neurolink_mitm.adapters.state_file import is_running
from neurolink_mitm.cli.exits import FAILED, fail
from neurolink_mitm.cli.running import running_state

STOP_LIMIT = 35.0
"""Seconds: the proxy lets streams finish for 30."""


@click.command("stop")
def command() -> None:
    """Stop the proxy; streams under way get 30 seconds to finish.

    Example: neurolink proxy stop
    """
    state = running_state()
    tell_to_stop(state.pid)
    wait_for_end(state.pid, state.pid_started)
    click.echo(f"stopped (pid {state.pid})")


def tell_to_stop(pid: int) -> None:
    """One that has ended meanwhile needs no telling."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        fail(
            f"the proxy (pid {pid}) runs as another user: stop it as that one, or with sudo", FAILED
        )


def wait_for_end(pid: int, started: float) -> None:
    """Of a proxy that was told to stop."""
    deadline = time.monotonic() + STOP_LIMIT
    said = False
    while is_running(pid, started):
        if time.monotonic() > deadline:
            fail(f"process {pid} did not stop within {STOP_LIMIT:.0f} s", FAILED)
        if not said and time.monotonic() > deadline - STOP_LIMIT + 1:
            said = True
            click.echo("waiting for streams under way to finish …", err=True)
        time.sleep(0.05)
