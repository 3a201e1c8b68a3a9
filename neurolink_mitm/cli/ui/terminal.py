"""What a person reads and types.

Results go to stdout; questions, hints and progress go to stderr, so that `--format json` is JSON and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, by_ctrl_c, fail

_PLAIN = {"✓": "[ok]", "–": "[--]", "✗": "[failed]"}


def as_json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, indent=2) + "\n"


def print_report(form: str, report: Mapping[str, Any], text: Callable[[], str]) -> None:
    """Print `report` as JSON, or `text`, which is made only then: it may import rich."""
    click.echo(as_json(report) if form == "json" else text(), nl=False)


def say(text: str) -> None:
    """Print a line for the person, beside the result."""
    click.echo(text, err=True)


def ask_hidden(question: str) -> str:
    """Return a line that is not shown while it is typed or pasted; from a pipe, its next line."""
    if sys.stdin.isatty():
        return str(click.prompt(question, hide_input=True, err=True)).strip()
    line = sys.stdin.readline()
    if not line:
        fail(f"nothing was given for: {question}", USAGE)
    return line.strip()


def confirm(question: str, *, default: bool = False, otherwise: str) -> bool:
    """Ask yes or no. Where nobody can answer, exit with 2 and say what to do `otherwise`."""
    try:
        return click.confirm(question, default=default, err=True)
    except click.Abort as e:
        if sys.stdin.isatty() or by_ctrl_c(e):
            raise
        fail(f"nobody answers here; {otherwise}", USAGE)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show a spinner on a terminal; nothing where stderr is a file."""
    if not sys.stderr.isatty() or "NO_COLOR" in os.environ:
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def done(text: str) -> None:
    """Print a step that is done."""
    click.echo(f"{_mark('✓', 'green')} {text}")


def skipped(text: str) -> None:
    """Print a step that was left out, though nothing went wrong."""
    click.echo(f"{_mark('–', 'yellow')} {text}")


def failed(text: str) -> NoReturn:
    """Print a step that failed, and exit with 1."""
    click.echo(f"{_mark('✗', 'red')} {text}", err=True)
    raise SystemExit(FAILED)


def _mark(sign: str, colour: str) -> str:
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return _PLAIN[sign]
    return click.style(sign, fg=colour)


def counted(count: int, thing: str) -> str:
    """Return `1 account`, `2 accounts`."""
    return f"{count} {thing}{'s' * (count != 1)}"


def program() -> str:
    """Return how the user's shell finds us, for lines to be pasted: by name, else by path."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "neurolink"
    by_name = shutil.which(called.name)
    if by_name and os.path.realpath(by_name) == os.path.realpath(called):
        return called.name
    return os.path.relpath(called) if called.absolute().is_relative_to(Path.cwd()) else str(called)
