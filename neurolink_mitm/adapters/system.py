"""This machine: clock, random source, port owners, free memory, and how optional packages are installed."""

from __future__ import annotations

import ctypes
import os
import random
import re
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

STEP = 1.0
"""Seconds by which a clock is set back at least; less is a clock that is being slewed."""


def steady() -> float:
    """Return monotonic seconds, those of sleep included."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class SystemClock:
    """Wall-clock time, in seconds since the epoch. Calls `set_back` with the seconds (< 0) that it was set back by.

    A clock that is set forward looks like a machine that slept, and only ends cooldowns and tokens early.
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
            for callback in self.set_back:
                callback(by)
        return now


class SystemRandomSource:
    """Ids and jitter. None is a secret; ids come from the kernel so that none repeats."""

    def request_id(self) -> str:
        return f"req_nl_{os.urandom(10).hex()}"

    def hex(self, length: int) -> str:
        return os.urandom((length + 1) // 2).hex()[:length]

    def jitter(self) -> float:
        return random.random()


def listening_process(port: int) -> psutil.Process | None:
    """Return the process that listens on `port`; None if there is none that this user may see."""
    with suppress(psutil.Error, OSError):
        for pid, connection in _connections():
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and pid:
                return psutil.Process(pid)
    return None


def port_owner(port: int) -> str | None:
    """Return name and pid of the program that listens on `port`, as far as this user may see them."""
    with suppress(psutil.Error):
        if process := listening_process(port):
            return _described(process)
    return None


def _connections() -> Iterator[tuple[int | None, Any]]:
    try:
        yield from ((each.pid, each) for each in psutil.net_connections("tcp"))
    except psutil.AccessDenied:  # macOS lists connections by process, and only the user's own
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                yield from ((process.pid, each) for each in process.net_connections("tcp"))


def _described(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        if "neurolink" in " ".join(process.cmdline()):
            return f"another NeuroLink (pid {process.pid})"
    return f"{process.name()} (pid {process.pid})"


def free_port(host: str, wanted: int) -> int:
    """Return `wanted`, or another port if that one is taken."""
    for port in (wanted, 0):
        with suppress(OSError), socket.create_server((host, port)) as server:
            return int(server.getsockname()[1])
    return wanted


TRIM_EVERY = 5.0
"""Seconds between two calls of `malloc_trim`, which holds up all allocation for a millisecond or two."""


async def return_free_memory(every: float = TRIM_EVERY) -> None:
    """Return memory that glibc keeps between live blocks to the system, until cancelled.

    Bodies of 100 KB come and go. C libraries without `malloc_trim` (macOS, musl) need nothing.
    """
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
    "cluster": ("cryptography", "redis[hiredis]"),
    "keyring": ("keyring",),
    "otel": ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"),
}
"""Packages of each extra, as in pyproject.toml."""


CLUSTER_MODULES = ("redis", "hiredis", "cryptography")
"""Modules of the extra `cluster`."""


def missing_for_cluster() -> str | None:
    """Return what is wrong where packages of the extra `cluster` are missing."""
    if all(map(find_spec, CLUSTER_MODULES)):
        return None
    return f"needs packages that are not installed; run {how_to_install('cluster')}"


def how_to_install(extra: str, prefix: str = sys.prefix) -> str:
    """Return the command that installs `extra` into an environment of pipx, of uv's tools, or of pip."""
    return how_to_add(PACKAGES[extra], f"'neurolink-mitm[{extra}]'", prefix)


def how_to_add(packages: Sequence[str], by_pip: str, prefix: str = sys.prefix) -> str:
    """Return the command that adds `packages` to such an environment; `by_pip` is what pip is told."""
    parts, packages = Path(prefix).parts, [shlex.quote(each) for each in packages]
    if "pipx" in parts:
        return f"pipx inject neurolink-mitm {' '.join(packages)}"
    if "uv" in parts and "tools" in parts:
        return f"uv tool install {' '.join(f'--with {each}' for each in packages)} neurolink-mitm"
    if "uv" in parts:  # the cache of uvx
        return f"uvx {' '.join(f'--with {each}' for each in packages)} --from neurolink-mitm neurolink proxy start"
    if _is_by_uv(Path(prefix)):
        return f"uv pip install --python {Path(prefix)} {by_pip}"
    return (
        f"pip install {by_pip}" if prefix != sys.prefix else f"{_python()} -m pip install {by_pip}"
    )


def _python() -> str:
    return shlex.quote(sys.executable)


def _is_by_uv(prefix: Path) -> bool:
    """Return whether uv made the virtual environment, in which there is no pip then."""
    try:
        return bool(re.search("^uv = ", (prefix / "pyvenv.cfg").read_text("utf-8"), re.MULTILINE))
    except (OSError, ValueError):
        return False


def disk_free(place: Path) -> int | None:
    """Return the free bytes on the disk of `place`, which may not exist yet; None if the system does not tell."""
    for each in (place, *place.parents):
        try:
            return shutil.disk_usage(each).free
        except OSError:
            continue
    return None
