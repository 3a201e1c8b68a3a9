"""CPU time and resident memory of a process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MB = 1e6
_POLL_SECONDS = 0.05


def cpu_seconds(pid: int) -> float:
    """Return user and system time of the process and its children, live or reaped."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    live = 0.0
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            live += times.user + times.system
    return _own_seconds(pid, own.user + own.system) + own.children_user + own.children_system + live


def _own_seconds(pid: int, ticks: float) -> float:
    """Return the process's CPU clock on Linux, else `ticks`, psutil's figure in steps of 10 ms.

    The number of the clock of `pid`:
    https://github.com/torvalds/linux/blob/master/include/linux/posix-timers_types.h
    """
    if not Path("/proc/self/stat").exists():
        return ticks
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return ticks


def rss_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / MB


def helpers_rss_mb(pid: int) -> float:
    """Return the memory of the live children, which `rss_mb` leaves out."""
    children = psutil.Process(pid).children(recursive=True)
    return float(sum(child.memory_info().rss for child in children)) / MB


@dataclass
class Peak:
    """The highest resident memory while `watch_peak` was open, in MB."""

    mb: float = field(default=0.0)


@asynccontextmanager
async def watch_peak(pid: int) -> AsyncIterator[Peak]:
    """Measure the peak by the kernel's high-water mark (VmHWM) if it can be reset, else by polling."""
    peak = Peak()
    if _reset_high_water(pid):
        yield peak
        peak.mb = _high_water_mb(pid)
        return
    poller = asyncio.create_task(_poll(pid, peak))
    try:
        yield peak
    finally:
        poller.cancel()
    peak.mb = max(peak.mb, rss_mb(pid))


def _reset_high_water(pid: int) -> bool:
    """Ask Linux to start VmHWM anew: proc_pid_clear_refs(5), value 5."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return _high_water_mb(pid) > 0


def _high_water_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    lines = (line.split() for line in status.splitlines())
    return next((int(line[1]) * 1024 / MB for line in lines if line and line[0] == "VmHWM:"), 0.0)


async def _poll(pid: int, peak: Peak) -> None:
    while True:
        peak.mb = max(peak.mb, rss_mb(pid))
        await asyncio.sleep(_POLL_SECONDS)
