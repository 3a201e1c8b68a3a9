"""How a command ends that can't do its work: one line on stderr, and the exit code that says of what kind it is.

Ctrl-C is an exit code of its own, whatever the command was doing. Only what serves in the foreground (the proxy, the
sandbox) is ended well by it, and exits with 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 1, 2, 3, 130


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Say why, and exit."""
    click.echo(f"neurolink: {message}", err=True)
    raise SystemExit(code)


@contextmanager
def interruptible() -> Iterator[None]:
    """End by Ctrl-C, at a prompt or elsewhere, with a new line and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        _end(INTERRUPTED)
    except click.Abort as e:
        _end(INTERRUPTED if by_ctrl_c(e) else FAILED)


def by_ctrl_c(abort: click.Abort) -> bool:
    """Whether a prompt was left by Ctrl-C; its input may also have ended (Ctrl-D)."""
    return isinstance(abort.__context__, KeyboardInterrupt)


def _end(code: int) -> NoReturn:
    click.echo(err=True)
    raise SystemExit(code) from None
