"""`neurolink cluster`: each command is a module of its own."""

from __future__ import annotations

import click

from neurolink_mitm.cli.ui.groups import LazyGroup

COMMANDS: dict[str, str] = {
    "key": "Make the key that seals tokens and client keys in Redis; all replicas need the same.",
    "status": "Show the replicas: versions, clocks, how they reach Redis, and in what one differs from the others.",
}
"""Name of each command in a module `cluster/NAME.py` → its line in the list."""


@click.group(name="cluster", cls=LazyGroup, lazy=COMMANDS, place="neurolink_mitm.cli.cluster.")
def command() -> None:
    """Several machines as one pool: who is there, and the key that they share."""
