"""`neurolink proxy env`."""

from __future__ import annotations

import shlex

import click

from neurolink_mitm.cli.running import running_state
from neurolink_mitm.core.claude_settings import variables


@click.command("env")
@click.option(
    "--shell",
    type=click.Choice(["bash", "zsh", "fish"]),
    default="bash",
    show_default=True,
    help="Whose language to print it in.",
)
def command(shell: str) -> None:
    """Print what points a shell's programs at the proxy.

    Example: neurolink proxy env --shell fish
    """
    form = "set -gx {} {};" if shell == "fish" else "export {}={}"
    for name, value in variables(running_state().url).items():
        click.echo(form.format(name, shlex.quote(value)))
