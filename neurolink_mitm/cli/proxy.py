"""`neurolink proxy`: start, status, stop."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import State, StateFile
from neurolink_mitm.cli import client, render
from neurolink_mitm.cli.exits import FAILED, NOT_RUNNING, USAGE, fail

STOP_LIMIT = 35.0
"""Seconds: the proxy lets streams finish for 30."""


@click.group(name="proxy")
def command() -> None:
    """Run the proxy and look after it."""


@command.command()
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=55669,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "-H",
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Beyond loopback callers must show a client key.",
)
@click.option("-s", "--strategy", help="How an account is chosen (default: as configured).")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="Configuration file (default: proxy-config.yaml in NEUROLINK_HOME).",
)
@click.option("-q", "--quiet", is_flag=True, help="Say only what goes wrong.")
@click.option("-d", "--debug", is_flag=True, help="Say what mitmproxy does, too.")
@click.option(
    "--passthrough",
    is_flag=True,
    help="Forward with the caller's own credentials: no pool, no retry; logs stay on.",
)
@click.option("--inspect", is_flag=True, help="Run inside mitmweb and print its address.")
@click.option("--sandbox", is_flag=True, help="Serve from the built-in sandbox's accounts.")
@click.option("--sandbox-if-empty", is_flag=True, help="The same, if there is no account yet.")
def start(**asked: Any) -> None:
    """Start the proxy in the foreground.

    Example: neurolink proxy start --port 55669 --strategy fill-first
    """
    from neurolink_mitm.cli import starting  # mitmproxy takes half a second to import

    starting.start(starting.Asked(**asked))


@command.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)
def status(form: str) -> None:
    """Show whether the proxy runs and how its accounts are doing.

    Example: neurolink proxy status --format json
    """
    state = running_state()
    report = client.get_json(f"{state.url}/status")
    if report is None:
        fail(f"process {state.pid} runs, but {state.url}/status does not answer", FAILED)
    report |= {"running": True, "url": state.url, "startTime": state.start_time}
    click.echo(render.as_json(report) if form == "json" else render.status_text(report), nl=False)


@command.command()
def stop() -> None:
    """Stop the proxy; streams under way get 30 seconds to finish.

    Example: neurolink proxy stop
    """
    state = running_state()
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT
    said = False
    while state.alive:
        if time.monotonic() > deadline:
            fail(f"process {state.pid} did not stop within {STOP_LIMIT:.0f} s", FAILED)
        if not said and time.monotonic() > deadline - STOP_LIMIT + 1:
            said = True
            click.echo("waiting for streams under way to finish …", err=True)
        time.sleep(0.05)
    click.echo(f"stopped (pid {state.pid})")


def home() -> Home:
    """The home directory, or exit code 2."""
    try:
        return Home.from_environment(os.environ)
    except ValueError as e:
        fail(str(e), USAGE)


def running_state() -> State:
    """The state of the running proxy, or exit code 3."""
    path = home().state
    state = StateFile(path).read()
    if state is None:
        fail("the proxy is not running; start it with: neurolink proxy start", NOT_RUNNING)
    if not state.alive:
        fail(
            f"the proxy is not running: process {state.pid} ended without cleaning up {path};"
            " the next start takes it over",
            NOT_RUNNING,
        )
    return state
