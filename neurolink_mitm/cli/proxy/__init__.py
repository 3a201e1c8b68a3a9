"""`neurolink proxy`: the command `start`; each other command is a module of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.cli.ui.exits import USAGE, fail
from neurolink_mitm.cli.ui.groups import LazyGroup
from neurolink_mitm.cli.ui.options import config_option, listen_options

STRATEGIES = ("fill-first", "round-robin", "quota-aware")
"""Those of `core/pool/selection.py`: a wrong option is reported before mitmproxy is imported."""
COMMANDS: dict[str, str] = {
    "doctor": "Look for whatever could keep requests from being answered, and say what to do.",
    "env": "Print what points a tool at the proxy: lines for the shell, or the tool's own file.",
    "guard": "",
    "install": "Install the proxy as a service (launchd, systemd).",
    "replay": "Estimate what other strategies would have done with the requests of the last hours; nothing is sent.",
    "reset": "Forget the cooldowns of ACCOUNT, or of all: they are asked again with the next request.",
    "setup": "Log in, run the proxy for good, and point Claude Code at it, in one go.",
    "status": "Show whether the proxy runs and how its accounts are doing.",
    "stop": "Stop the proxy; streams under way get 30 seconds to finish.",
    "telemetry": "Run an OpenTelemetry collector and dashboards (OpenObserve) in Docker; print what Prometheus gets.",
    "uninstall": "Remove the service, and with --purge all else that NeuroLink keeps here.",
}
"""Name of each command in a module `proxy/NAME.py` → its line in the list; empty: hidden."""


@click.group(name="proxy", cls=LazyGroup, lazy=COMMANDS, place="neurolink_mitm.cli.proxy.")
def command() -> None:
    """Run the proxy and look after it."""


@command.command()
@listen_options(
    0,
    "Port to listen on; 0 takes a free one.",
    "Address to listen on. Beyond loopback callers must show a client key.",
)
@click.option(
    "-s",
    "--strategy",
    type=click.Choice(STRATEGIES),
    help="How an account is chosen (default: as configured).",
)
@config_option()
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    help="File of keys, as NAME=value (default: NEUROLINK_ENV_FILE, else .env in NEUROLINK_HOME).",
)
@click.option(
    "--health-interval",
    type=click.FloatRange(min=1),
    default=30,
    show_default=True,
    help="Seconds between two looks at accounts that nobody uses: their tokens are kept fresh.",
)
@click.option(
    "-q",
    "--quiet",
    is_flag=True,
    help="Say only what goes wrong, and how the configuration changes.",
)
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
def start(
    quiet: bool,
    debug: bool,
    sandbox: bool,
    sandbox_if_empty: bool,
    no_claude_settings: bool,
    **settings: Any,
) -> None:
    """Start the proxy in the foreground.

    Example: neurolink proxy start --port 55669 --strategy fill-first
    """
    _check_files(settings["config"], settings["env_file"])
    from neurolink_mitm.dataplane import default_addons

    default_addons.put_off()
    from neurolink_mitm.app import wiring  # mitmproxy takes half a second to import
    from neurolink_mitm.cli.proxy import serve

    options = serve.StartOptions(quiet, debug, sandbox, sandbox_if_empty, no_claude_settings)
    serve.start(options, wiring.Settings(os.environ, **settings))


def _check_files(config: Path | None, env_file: Path | None) -> None:
    """Exit where a named file is missing, before what takes a second to import."""
    if config is not None and not config.exists():
        fail(f"{config}: no such file", USAGE)
    if env_file is not None and not env_file.exists():
        fail(f"{env_file}: no such file: name one that holds lines of NAME=value", USAGE)
