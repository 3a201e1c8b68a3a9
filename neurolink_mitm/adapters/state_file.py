"""State files: which proxies serve this home, so that commands find them.

Each proxy writes `proxies/PID.json`; `proxy-state.json` is that of the first one, which commands address if no port is
named. When it ends, the next takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil

from neurolink_mitm.adapters.files import locked, private_directory, read_whole, write_atomic
from neurolink_mitm.adapters.home_root import PROXIES
from neurolink_mitm.adapters.own_address import CA_VARIABLE, TlsState, caller_url, own_url
from neurolink_mitm.core.json_errors import UNREADABLE

OURS = "neurolink"
"""The program of a proxy of `neurolink proxy start`."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
_LONGEST_UPTIME = 1e8
"""Seconds by which the times of two boots differ at least."""
_SAME = 2.0
"""Seconds by which two readings of a process's start may differ."""


class ProxyState(msgspec.Struct, rename="camel", kw_only=True):
    """The state of a proxy. Times are seconds since the epoch; `admin_token` allows to reset accounts."""

    def __repr__(self) -> str:
        return f"ProxyState(pid={self.pid}, url={self.url})"

    pid: int
    pid_started: float
    port: int
    host: str
    strategy: str
    start_time: float
    fallback_chain: list[dict[str, str]] = []
    guard_pid: int | None = None
    admin_token: str = ""
    program: str = OURS
    """`mitmdump` or `mitmweb` with the script, else `neurolink`."""
    phase: str = "ready"
    """`starting`, `ready` or `draining`."""
    drain: float = 30.0
    """`timeouts.drain`: seconds that requests under way get when the proxy is stopped."""

    tls: TlsState | None = None
    """None: callers speak plain HTTP."""

    @property
    def url(self) -> str:
        """The URL on this machine, for the owner's commands."""
        return own_url(self.host, self.port, self.tls)

    @property
    def caller_url(self) -> str:
        """The URL that callers are given."""
        return caller_url(self.host, self.port, self.tls)

    @property
    def variables(self) -> dict[str, str]:
        """The variables that Claude Code needs to trust the certificate."""
        return {CA_VARIABLE: self.tls.path} if self.tls and self.tls.self_signed else {}

    @property
    def alive(self) -> bool:
        """Whether the proxy runs."""
        return is_running(self.pid, self.pid_started)


class StateFile:
    """The state files of one home."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._each = path.with_name(PROXIES)

    def read(self) -> ProxyState | None:
        """Return the state of the first proxy, else of the last one that ran; None if it is missing or broken."""
        first = _read(self.path)
        if first is not None and first.alive:
            return first
        return next(iter(self.running()), first)

    def running(self) -> tuple[ProxyState, ...]:
        """Return the states of running proxies: the first one, then the others by their start."""
        first = _read(self.path)
        states = {each.pid: each for each in self._all() if each.alive}
        if first is not None and first.alive:
            states[first.pid] = first
        pid = first.pid if first else None
        return tuple(sorted(states.values(), key=lambda each: (each.pid != pid, each.start_time)))

    def of(self, pid: int) -> ProxyState | None:
        """Return the state of the proxy `pid`; None if it is missing or broken."""
        return _read(self._each / f"{pid}.json")

    def claim(self, state: ProxyState) -> bool:
        """Write the state of a proxy; return whether it is the first one. Raises `OSError`; blocks."""
        private_directory(self._each)
        with locked(self.path):
            self._sweep()
            _write(self._each / f"{state.pid}.json", state)
            first = _read(self.path)
            if first is not None and first.alive and first.pid != state.pid:
                return False
            self.write(state)
        return True

    def write(self, state: ProxyState) -> None:
        _write(self.path, state)

    def remove(self, pid: int) -> None:
        """Remove the state of a proxy; the next one takes its place. Blocks."""
        with suppress(OSError):
            if self._each.exists():
                with locked(self.path):
                    self._remove(pid)
            else:
                self._remove(pid)

    def _remove(self, pid: int) -> None:
        (self._each / f"{pid}.json").unlink(missing_ok=True)
        state = _read(self.path)
        if state is not None and state.pid == pid:
            left = [each for each in self.running() if each.pid != pid]
            if left:
                self.write(left[0])
            else:
                self.path.unlink(missing_ok=True)
        with suppress(OSError):  # others are in it
            self._each.rmdir()

    def _all(self) -> Iterator[ProxyState]:
        with suppress(OSError):
            for path in sorted(self._each.glob("*.json")):
                if state := _read(path):
                    yield state

    def _sweep(self) -> None:
        """Remove the files of dead proxies."""
        for path in self._each.glob("*.json"):
            state = _read(path)
            if state is None or not state.alive:
                path.unlink(missing_ok=True)


def _read(path: Path) -> ProxyState | None:
    try:
        return msgspec.json.decode(read_whole(path), type=ProxyState)
    except (OSError, ValueError, *UNREADABLE):
        return None


def _write(path: Path, state: ProxyState) -> None:
    write_atomic(path, msgspec.json.encode(state) + b"\n")


def process_start(pid: int) -> float | None:
    """Return the start of a process, which tells it from others of its pid; None if it is missing or a zombie.

    On Linux it is counted from the boot, since a clock that is set moves the start of every process; elsewhere in
    seconds since the epoch.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return _since_boot(pid) or process.create_time()
    except (psutil.Error, ValueError):
        return None


def is_running(pid: int, started: float) -> bool:
    """Return whether the process `pid` of that start still runs."""
    start = process_start(pid)
    if start is None:
        return False
    return abs(start - started) < _SAME or _is_of_the_epoch(pid, started)


def _since_boot(pid: int) -> float | None:
    """Return seconds since the boot, plus a number of this boot: another has processes as old. None off Linux."""
    try:
        # proc(5): the 22nd field, the 20th after the name, which is in brackets and may hold anything
        ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        boot = int(BOOT.read_text()[:6], 16)
    except (OSError, ValueError, IndexError):
        return None
    return boot * _LONGEST_UPTIME + ticks / os.sysconf("SC_CLK_TCK")


def _is_of_the_epoch(pid: int, started: float) -> bool:
    """Compare with a start in seconds since the epoch, as earlier versions wrote it."""
    with suppress(psutil.Error, ValueError):
        return abs(psutil.Process(pid).create_time() - started) < _SAME
    return False
