"""`neurolink proxy guard`: what `start` runs beside the proxy, for those who want to see it work."""

from __future__ import annotations

import click

from neurolink_mitm.cli.running import home


@click.command("guard", hidden=True)
@click.argument("pid", type=int)
def command(pid: int) -> None:
    """Watch over the proxy with this PID, and put Claude Code's settings back if it dies.

    Example: neurolink proxy guard 4711
    """
    from neurolink_mitm.adapters import guard

    guard.run(home(), pid)
