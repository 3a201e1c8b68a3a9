"""`neurolink top`: one live view on a terminal, with keys.

- `keys`: bytes of the terminal to names of keys. `state`: a key to the next state and an action.
- `screen`: state and report to lines. `actions`: what keys do to an account. These are pure, or nearly so.
- `terminal`: modes and signals. `threads`: what may block. `loop` joins all of it.
"""

from __future__ import annotations

import os
import sys

import click

from neurolink_mitm.cli.ui.exits import USAGE, fail
from neurolink_mitm.cli.ui.options import port_option


@click.command("top")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@port_option("Of several proxies, show the one on this port.")
def command(interval: float, port: int | None) -> None:
    """Watch accounts, windows and requests live; keys pause, resume, reset and explain.

    Example: neurolink top
    """
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not terminal or os.environ.get("TERM", "").lower() in ("", "dumb", "unknown"):
        fail("top needs a terminal; elsewhere use: neurolink proxy status --watch", USAGE)
    from neurolink_mitm.cli.top import loop
    from neurolink_mitm.cli.ui.home import home

    loop.run(home(), port, interval)
