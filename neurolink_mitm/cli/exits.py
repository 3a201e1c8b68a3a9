"""How a command ends that can't do its work: one line on stderr, and the exit code that says of what kind it is."""

from __future__ import annotations

from typing import NoReturn

import click

FAILED, USAGE, NOT_RUNNING = 1, 2, 3


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say why, and exit."""
    click.echo(f"neurolink: {message}", err=True)
    raise SystemExit(code)
