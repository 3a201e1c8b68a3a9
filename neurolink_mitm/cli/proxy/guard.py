"""`neurolink proxy guard`: what `start` runs beside the proxy, for those who want to see it work."""

from __future__ import annotations

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.claude_code import guard
from neurolink_mitm.claude_code.attachments import AllSettings
from neurolink_mitm.claude_code.settings import SettingsError
from neurolink_mitm.cli.ui.exits import FAILED, fail
from neurolink_mitm.cli.ui.home import home


@click.command("guard", hidden=True)
@click.argument("pid", type=int, required=False)
def command(pid: int | None) -> None:
    """Watch over the proxy with this PID, and put Claude Code's settings back if it dies.

    Without a PID: put back at once what proxies have left that are dead.

    Example: neurolink proxy guard 4711
    """
    if pid is not None:
        guard.run(home(), pid)
        return
    if faults := put_back(home()):
        fail("; ".join(faults), FAILED)


def put_back(home: Home) -> tuple[str, ...]:
    """Put back the settings of Claude Code that dead proxies have left, and return what went wrong."""
    try:
        return AllSettings(home).put_back()
    except SettingsError as e:
        return (str(e),)
