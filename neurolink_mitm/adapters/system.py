"""The clock, the dice and the ports of this machine.

Memory that nobody uses any more goes back to the system.

Bodies of 100 KB come and go, and glibc keeps the holes between what stays. Where the C library is another, or has no
such call (macOS, musl), nothing is done.

How an optional part is installed, by the way that NeuroLink itself was.
"""

from __future__ import annotations

import ctypes
import os
import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

STEP = 1.0
"""Seconds; what is less is a clock that is being trimmed."""


def steady() -> float:
    """Seconds since some moment, sleep included; nobody can set them."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class SystemClock:
    """Wall-clock time, in seconds since the epoch; tells those in `set_back` by how much it was set back (< 0).

    That it was set forward can't be told from a machine that was asleep, and only ends things early.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        even: Callable[[], float] = steady,
    ) -> None:
        self.set_back: list[Callable[[float], object]] = []
        self._wall, self._even = wall, even
        self._lead = wall() - even()

    def now(self) -> float:
        now = self._wall()
        lead = now - self._even()
        by, self._lead = lead - self._lead, lead
        if by < -STEP:
            for tell in self.set_back:
                tell(by)
        return now


class SystemRandomSource:
    """Ids and jitter. None of them guards anything, but ids come from the kernel so that none repeats."""

    def request_id(self) -> str:
        return f"req_nl_{os.urandom(10).hex()}"

    def hex(self, length: int) -> str:
        return os.urandom((length + 1) // 2).hex()[:length]

    def jitter(self) -> float:
        return random.random()


def port_owner(port: int) -> str | None:
    """The program that listens on a port, and its pid, as far as this user may know."""
    with suppress(psutil.Error):
        for pid, found in _connections():
            if found.status == psutil.CONN_LISTEN and found.laddr.port == port and pid:
                return _described(psutil.Process(pid))
    return None


def _connections() -> Iterator[tuple[int | None, Any]]:
    try:
        yield from ((each.pid, each) for each in psutil.net_connections("tcp"))
    except psutil.AccessDenied:  # macOS tells only of single processes, and those one's own
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                yield from ((process.pid, each) for each in process.net_connections("tcp"))


def _described(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        if "neurolink" in " ".join(process.cmdline()):
            return f"another NeuroLink (pid {process.pid})"
    return f"{process.name()} (pid {process.pid})"


def free_port(host: str, wanted: int) -> int:
    """`wanted`, or any other where that is taken."""
    for port in (wanted, 0):
        with suppress(OSError), socket.create_server((host, port)) as found:
            return int(found.getsockname()[1])
    return wanted


EVERY = 5.0
"""Seconds between two tidyings: each takes a millisecond or two, in which nobody else can allocate."""


async def return_free_memory(every: float = EVERY) -> None:
    """Until it is cancelled."""
    import asyncio  # commands need this module, and no event loop

    trim = _malloc_trim()
    while trim is not None:
        await asyncio.sleep(every)
        await asyncio.to_thread(trim, 0)


def _malloc_trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None


PACKAGES = {
    "keyring": ("keyring",),
    "otel": ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
}
"""What pyproject.toml has under each extra."""


def how_to_install(extra: str, prefix: str = sys.prefix) -> str:
    """The command. pip knows nothing of the environments that pipx and uv make for a tool."""
    parts, packages = Path(prefix).parts, PACKAGES[extra]
    if "pipx" in parts:
        return f"pipx inject neurolink-mitm {' '.join(packages)}"
    if "uv" in parts and "tools" in parts:
        return f"uv tool install {' '.join(f'--with {each}' for each in packages)} neurolink-mitm"
    return f"pip install 'neurolink-mitm[{extra}]'"
