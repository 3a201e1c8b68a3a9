"""Steps of a longer command, each with its tick: coloured on a terminal, plain where it is piped."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from neurolink_mitm.cli.exits import FAILED

_PLAIN = {"✓": "[ok]", "–": "[--]", "✗": "[failed]"}


def done(text: str) -> None:
    click.echo(f"{_mark('✓', 'green')} {text}")


def skipped(text: str) -> None:
    """There is something to know, but nothing went wrong."""
    click.echo(f"{_mark('–', 'yellow')} {text}")


def failed(text: str) -> NoReturn:
    click.echo(f"{_mark('✗', 'red')} {text}", err=True)
    raise SystemExit(FAILED)


def _mark(sign: str, colour: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return _PLAIN[sign]
    return click.style(sign, fg=colour)
