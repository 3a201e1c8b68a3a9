"""`proxy-state.json`: which process serves this home, so that `status` and `stop` find it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from neurolink_mitm.adapters.atomic import write_atomic

_SAME = 2.0
"""Seconds by which two readings of a process's start may differ; a reused pid differs by more."""


class State(msgspec.Struct, rename="camel", kw_only=True):
    """Times are seconds since the epoch. `admin_token` lets who can read this file reset accounts."""

    def __repr__(self) -> str:
        return f"State(pid={self.pid}, url={self.url})"

    pid: int
    pid_started: float
    port: int
    host: str
    strategy: str
    start_time: float
    fallback_chain: list[dict[str, str]] = []
    guard_pid: int | None = None
    admin_token: str = ""

    @property
    def url(self) -> str:
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host and host[0] != '[' else host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the process that wrote this still runs, and is not another with its pid."""
        return is_running(self.pid, self.pid_started)


class StateFile:
    """Reads and writes the file of one home."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> State | None:
        """None where there is none, or none that can be read: it holds nothing that is worth keeping."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=State)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    def claim(self, state: State) -> bool:
        """Write it, unless another proxy that is alive has: `status` and `stop` speak of the first one."""
        known = self.read()
        if known is not None and known.alive and known.pid != state.pid:
            return False
        self.write(state)
        return True

    def write(self, state: State) -> None:
        write_atomic(self.path, msgspec.json.encode(state) + b"\n")

    def remove(self, pid: int) -> None:
        """Remove it if it is that process's own."""
        state = self.read()
        if state is not None and state.pid == pid:
            with suppress(OSError):
                self.path.unlink()


def process_start(pid: int) -> float | None:
    """When the process started; None where there is none, or only a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except (psutil.Error, ValueError):
        return None


def is_running(pid: int, started: float) -> bool:
    """Whether the process that started then still runs, and is not another with its pid."""
    found = process_start(pid)
    return found is not None and abs(found - started) < _SAME
