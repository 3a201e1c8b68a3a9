"""`neurolink sandbox`."""

from __future__ import annotations

import click

from neurolink_mitm.cli.ui.exits import FAILED, fail


@click.command(name="sandbox")
@click.option(
    "-p",
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
def command(port: int) -> None:
    """Run the Anthropic look-alike by itself, to point a configuration or a client at.

    It says how: its first line is its address, then come lines to paste.

    Example: neurolink sandbox --port 8787
    """
    from neurolink_mitm.cli.ui.terminal import program
    from neurolink_mitm.sandbox.server import serve
    from neurolink_mitm.sandbox.state import Sandbox
    from neurolink_mitm.sandbox.welcome import how_to_use

    sandbox = Sandbox()

    def announce(url: str) -> None:
        print(f"{url}\n{how_to_use(sandbox.accounts, url, program())}", flush=True)

    try:
        serve("127.0.0.1", port, sandbox, announce=announce)
    except OSError as e:
        fail(f"can't serve on port {port}: {e.strerror or e}", FAILED)
