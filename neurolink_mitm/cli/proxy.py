"""`neurolink proxy`: start, stop, reset, replay, and the way to those with a module of their own."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.adapters.state_file import State, StateFile, is_running
from neurolink_mitm.cli import http_client, render
from neurolink_mitm.cli.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.lazy import LazyGroup
from neurolink_mitm.cli.options import format_option
from neurolink_mitm.cli.running import home, owner, running_state

STOP_LIMIT = 35.0
"""Seconds: the proxy lets streams finish for 30."""


COMMANDS: dict[str, str] = {
    "doctor": "Look for whatever could keep requests from being answered, and say what to do.",
    "env": "Print what points a shell's programs at the proxy.",
    "guard": "",
    "install": "Install the proxy as a service (launchd, systemd).",
    "setup": "Log in, run the proxy for good, and point Claude Code at it, in one go.",
    "status": "Show whether the proxy runs and how its accounts are doing.",
    "uninstall": "Remove the service, and with --purge all else that NeuroLink keeps here.",
}
"""Those with a module of their own, `proxy_NAME`, and what the list says of them."""


@click.group(name="proxy", cls=LazyGroup, lazy=COMMANDS, place="neurolink_mitm.cli.proxy_")
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
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File of keys, as NAME=value (default: NEUROLINK_ENV_FILE, else .env in NEUROLINK_HOME).",
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
@click.option("--no-claude-settings", is_flag=True, help="Leave Claude Code's settings alone.")
def start(**asked: Any) -> None:
    """Start the proxy in the foreground.

    Example: neurolink proxy start --port 55669 --strategy fill-first
    """
    from neurolink_mitm.cli import starting  # mitmproxy takes half a second to import

    starting.start(starting.Asked(**asked))


@command.command()
@click.argument("account", required=False)
def reset(account: str | None) -> None:
    """Forget the cooldowns of ACCOUNT, or of all: they are asked again with the next request.

    Example: neurolink proxy reset work
    """
    state = StateFile(home().state).read()
    running = state is not None and state.alive
    labels = _reset_running(state, account) if state and running else _reset_file(account)
    click.echo(f"reset: {', '.join(labels)}" if labels else "nothing to reset")


def _reset_running(state: State, account: str | None) -> list[str]:
    query = {"account": account} if account else {}
    code, answer = http_client.post(f"{state.url}/admin/reset", query, owner(state))
    if code != 200:
        fail(answer.get("error", {}).get("message", f"the proxy answered {code}"), FAILED)
    return list(answer["reset"])


def _reset_file(account: str | None) -> list[str]:
    """No proxy runs: what it would read at its next start."""
    from neurolink_mitm.adapters.pool_memory import read_cooldowns, write_cooldowns

    path = home().cooldowns
    known = dict(read_cooldowns(path))
    gone = [key for key in known if account in (None, key, key.partition(":")[2])]
    if account and not gone:
        fail(f"no cooldown is kept for an account {account!r}", FAILED)
    if gone:
        write_cooldowns(path, {key: kept for key, kept in known.items() if key not in gone})
    return [key.partition(":")[2] for key in gone]


@command.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-s", "--strategy", required=True, help="The strategy to compare with what happened.")
@format_option
def replay(file: Path, strategy: str, form: str) -> None:
    """Run recorded attempts (proxy-attempts-….jsonl) through another strategy; nothing is sent.

    Example: neurolink proxy replay ~/.neurolink/logs/proxy-attempts-2026-11-22.jsonl -s quota-aware
    """
    from neurolink_mitm.core import replay as replaying
    from neurolink_mitm.core.rotation import STRATEGIES

    if strategy not in STRATEGIES:
        fail(f"unknown strategy {strategy!r}; choose {', '.join(STRATEGIES)}", USAGE)
    with file.open("rb") as lines:
        rows, bad = replaying.read_rows(lines)
    if not rows:
        fail(f"{file} holds no attempts", FAILED)
    if bad:
        click.echo(f"neurolink: {bad} lines of {file.name} are no attempts, left out", err=True)
    report = render.replay_report(
        replaying.recorded(rows), replaying.replay(rows, strategy), strategy
    )
    click.echo(render.as_json(report) if form == "json" else render.replay_text(report), nl=False)


@command.command()
def stop() -> None:
    """Stop the proxy; streams under way get 30 seconds to finish.

    Example: neurolink proxy stop
    """
    state = running_state()
    os.kill(state.pid, signal.SIGTERM)
    wait_for_end(state.pid, state.pid_started)
    click.echo(f"stopped (pid {state.pid})")


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
