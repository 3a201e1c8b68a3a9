"""`neurolink completion`: the script by which a shell completes our commands, options and labels."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

HINTS = {
    "bash": """in ~/.bashrc: eval "$(neurolink completion bash)\"""",
    "zsh": """in ~/.zshrc, after compinit: eval "$(neurolink completion zsh)\"""",
    "fish": "once: neurolink completion fish > ~/.config/fish/completions/neurolink.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(HINTS)))
def command(shell: str) -> None:
    """Print the completion script for a shell.

    The script says at its end how it is installed.

    Example: neurolink completion bash
    """
    from neurolink_mitm.cli import main

    made = get_completion_class(shell)
    assert made is not None
    script = made(main, {}, "neurolink", "_NEUROLINK_COMPLETE").source()
    click.echo(f"{script.strip()}\n\n# To install it, {HINTS[shell]}")
