"""The `neurolink` command: one module a group, loaded when it is used, so that help is quick.

Exit codes: 0 ok, 1 failed, 2 bad usage or configuration, 3 not running.
"""

from __future__ import annotations

from importlib import import_module

import click

from neurolink_mitm import __version__

GROUPS = {
    "auth": "Log in to accounts and look after them.",
    "config": "Look at the configuration, check and edit it.",
    "proxy": "Run the proxy and look after it.",
    "sandbox": "An Anthropic look-alike on loopback.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        module = import_module(f"neurolink_mitm.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(GROUPS.items()))


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="neurolink")
def main() -> None:
    """Pool your own Anthropic accounts behind one local address.

    Example: neurolink proxy start --sandbox
    """
