"""`neurolink proxy env`."""

from __future__ import annotations

import os
import shlex

import click

from neurolink_mitm.claude_code.settings_text import ANY_TOKEN, variables
from neurolink_mitm.cli.ui.options import port_option
from neurolink_mitm.cli.ui.running import running_state

TOKEN = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 - a variable's name


@click.command("env")
@click.option(
    "--shell",
    type=click.Choice(["bash", "zsh", "fish"]),
    default="bash",
    show_default=True,
    help="Whose language to print it in.",
)
@port_option("Of several proxies, the one on this port.")
def command(shell: str, port: int | None) -> None:
    """Print what points a shell's programs at the proxy.

    With a token for a Claude Code that has no login of its own, which asks nothing without one.

    Example: neurolink proxy env --shell fish
    """
    form = "set -gx {} {};" if shell == "fish" else "export {}={}"
    state = running_state(port)
    for name, value in {**variables(state.url), **_token(state.url)}.items():
        click.echo(form.format(name, shlex.quote(value)))


def _token(url: str) -> dict[str, str]:
    """Return a token that opens nothing, where Claude Code needs any; print a hint where it must be a client key."""
    from neurolink_mitm.claude_code.login import has_login
    from neurolink_mitm.cli.ui import http_client

    response = http_client.ask(f"{url}/status")
    if response.status == 401 and not os.environ.get(TOKEN):
        text = f"callers must show a key: neurolink clients add NAME, then set {TOKEN} to it"
        click.echo(f"neurolink: {text}", err=True)
    passthrough = response.document.get("strategy") == "passthrough"
    if response.status != 200 or passthrough or has_login(os.environ):
        return {}
    return {TOKEN: ANY_TOKEN}
