"""`neurolink cluster key`."""

from __future__ import annotations

from pathlib import Path

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.terminal import say


@click.command("key")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to make (default: cluster.key in NEUROLINK_HOME).",
)
@click.option(
    "--print", "shows", is_flag=True, help="Print a new key on stdout, for a secret store; no file."
)
def command(out: Path | None, shows: bool) -> None:
    """Make the key that seals tokens and client keys in Redis; all replicas need the same.

    A key that is there is never overwritten.

    Example: neurolink cluster key
    """
    from neurolink_mitm.adapters.cluster_key import make_cluster_key, new_key

    if shows and out is not None:
        fail("give --out or --print, not both", USAGE)
    if shows:
        click.echo(new_key().reveal())
        return
    if out is None:
        home().create()
    path = out or home().cluster_key
    try:
        make_cluster_key(path)
    except FileExistsError:
        fail(
            f"{path} is there already, and was left as it is: copy it to the other machines", FAILED
        )
    click.echo(f"made {path}")
    say(
        "Copy it to the other machines over a channel that nobody reads, with mode 0600:"
        f" scp -p {path} HOST:{path}. Whoever has it and Redis has the accounts."
    )
