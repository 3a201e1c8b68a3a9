"""`neurolink statusline`: a line for Claude Code, which asks for it all the time.

Called just so, it is answered by `neurolink_mitm.__main__` before this is imported.
"""

from __future__ import annotations

import os

import click

from neurolink_mitm.claude_code.status_line import status_line


@click.command("statusline")
def command() -> None:
    """Print one line about the accounts, for Claude Code's status line.

    Example: neurolink statusline
    """
    click.echo(status_line(os.environ))
