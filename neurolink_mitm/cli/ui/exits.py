"""Exit codes, and how a command ends that can't do its work: one line on stderr.

Ctrl-C has an exit code of its own. What serves in the foreground (the proxy, the sandbox) handles Ctrl-C itself and
exits with 0.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 1, 2, 3, 130


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print `message` on stderr and exit."""
    click.echo(f"neurolink: {message}", err=True)
    raise SystemExit(code)


def fail_by_configuration(faults: Iterable[str]) -> NoReturn:
    """Print all faults of the configuration and exit with 2."""
    fail("\n  ".join(("the configuration can't be used:", *faults)), USAGE)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End a command by one line where Ctrl-C, the disk or the token store stops it."""
    try:
        yield
    except KeyboardInterrupt:
        _end(INTERRUPTED)
    except click.Abort as e:
        _end(INTERRUPTED if by_ctrl_c(e) else FAILED)
    except (click.ClickException, click.exceptions.Exit):
        raise
    except Exception as e:
        _fail_by(e)
        raise


def by_ctrl_c(abort: click.Abort) -> bool:
    """Whether a prompt was left by Ctrl-C; its input may also have ended (Ctrl-D)."""
    return isinstance(abort.__context__, KeyboardInterrupt)


def _end(code: int) -> NoReturn:
    click.echo(err=True)
    raise SystemExit(code) from None


def _fail_by(error: Exception) -> None:
    """Exit by an error of the disk, the token store or the file of pauses; return for any other."""
    from neurolink_mitm.adapters.pause_file import PauseFileError
    from neurolink_mitm.adapters.token_store import TokenStoreError
    from neurolink_mitm.core.redact.text import redact

    if isinstance(error, TokenStoreError):
        fail(redact(str(error)))
    if isinstance(error, PauseFileError):
        fail(str(error), USAGE)
    if isinstance(error, OSError) and error.errno != errno.EPIPE:  # `… | head`: click ends that
        reason = error.strerror or str(error)
        fail(redact(f"{error.filename}: {reason}" if error.filename else reason))
