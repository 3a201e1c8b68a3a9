"""`neurolink sandbox`."""

from __future__ import annotations

import click

from neurolink_mitm.cli.exits import FAILED, fail


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

    Example: neurolink sandbox --port 8787
    """
    from neurolink_mitm.sandbox.server import serve
    from neurolink_mitm.sandbox.state import Sandbox

    try:
        serve("127.0.0.1", port, Sandbox())
    except OSError as e:
        fail(f"can't serve on port {port}: {e.strerror or e}", FAILED)
