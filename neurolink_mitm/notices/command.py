"""The command: a program of the user's, run without a shell, with the event as JSON on its input."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from neurolink_mitm.notices.event import Event, encode
from neurolink_mitm.notices.undelivered import Undelivered

LIMIT = 10.0
"""Seconds after which a program is killed with all that it has started."""
_NAMES = frozenset({
    "HOME", "LANG", "LANGUAGE", "LOGNAME", "NEUROLINK_HOME", "PATH", "SHELL", "TMPDIR", "TZ", "USER",
    "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY",
    "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE",
})  # fmt: skip
_PREFIXES = ("LC_", "XDG_")


def variables_for(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a program gets: where it is, and none that could hold a key."""
    return {
        name: value
        for name, value in environ.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    }


@dataclass(frozen=True)
class Command:
    """The channel of `notify.command`. Nothing of an event becomes an argument or a variable."""

    arguments: Sequence[str] = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)
    limit: float = LIMIT
    name: str = "command"

    async def send(self, event: Event) -> str:
        """Return the exit code 0. Raises `Undelivered` for any other, and where the program can't be run."""
        program, *rest = self.arguments
        code = await run(
            [_expanded(program), *rest], self.environ, encode(event) + b"\n", self.limit
        )
        if code:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise Undelivered(f"{os.path.basename(program)} ended with {how}")
        return "exit code 0"


def _expanded(program: str) -> str:
    return os.path.expanduser(program)


async def run(
    arguments: Sequence[str], environ: Mapping[str, str], stdin: bytes, limit: float
) -> int:
    """Run a program with `stdin` on its input, its output dropped; return its exit code.

    Raises `Undelivered` where it can't be run, or has not ended after `limit` seconds: then it is killed.
    """
    program = os.path.basename(arguments[0])
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL, env=variables_for(environ), start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as e:
        raise Undelivered(f"{program} can't be run: {getattr(e, 'strerror', None) or e}") from e
    try:
        async with asyncio.timeout(limit):
            await process.communicate(stdin)
    except TimeoutError as e:
        raise Undelivered(f"{program} has not ended after {limit:g} s, and was killed") from e
    finally:
        if process.returncode is None:
            await _kill(process)
    assert process.returncode is not None
    return process.returncode


async def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill a program with its process group, and with children that have left it."""
    with suppress(psutil.Error):
        children = psutil.Process(process.pid).children(recursive=True)
        for child in children:
            with suppress(psutil.Error):
                child.kill()
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError, ProcessLookupError):
        async with asyncio.timeout(1.0):
            await process.wait()
