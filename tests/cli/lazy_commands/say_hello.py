"""A command for test_lazy."""

from __future__ import annotations

import click


@click.command()
def command() -> None:
    """Say hello."""
    click.echo("hello")
