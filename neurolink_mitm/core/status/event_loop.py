"""The event loop's lag: how late the loop runs what is due, its stalls, and the pauses of the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.status.diagnostic import Diagnostic, ok, warn

BOUNDS = (1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000)
"""Upper bounds of the histogram's buckets, in milliseconds."""
RECENT = 1200
"""Measurements behind the quantiles: about a minute of them."""
IDLE = 0.2
"""Share of CPU time in a gap below which the process was idle."""

Cause = Literal["stall", "pause", "thread"]


@dataclass(frozen=True, slots=True)
class Gap:
    """The time between two beats of the loop. All in seconds.

    `cpu` and `loop_cpu` are CPU time of the process and of the loop's thread; `starved` is how long that
    thread waited for a CPU; `sampled`: the watchdog's thread was not held up itself, and saw the loop at work.
    """

    seconds: float
    cpu: float
    loop_cpu: float
    starved: float = 0.0
    sampled: bool = False

    @property
    def cause(self) -> Cause:
        """Return what held the loop up.

        `stall`: its own thread computed or waited for something; `thread`: another thread of the process kept the
        interpreter; `pause`: the whole process did not run (SIGSTOP, sleep, a machine that is too busy).
        """
        if self.loop_cpu >= IDLE * self.seconds or self.sampled:
            return "stall"
        return "thread" if self.cpu >= IDLE * self.seconds else "pause"

    def late(self, every: float) -> float:
        """Return how long the loop stood at least, with a beat due each `every` seconds."""
        return max(self.seconds - every, min(self.loop_cpu, self.seconds))

    def own(self, every: float) -> float:
        """Return `late` without the time in which other programs had the CPU."""
        return max(self.seconds - every - self.starved, min(self.loop_cpu, self.seconds))


@dataclass(frozen=True, slots=True)
class Stall:
    """A gap that was too long. `at` is its end, in seconds since the epoch; `stack` is innermost first.

    `own` are the seconds in which no other program had the CPU.
    """

    at: float
    seconds: float
    stack: tuple[str, ...] = ()
    own: float = 0.0


@dataclass(slots=True)
class Lag:
    """The lag since the start."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    longest: float = 0.0
    """Milliseconds; pauses of the process don't count."""
    stalls: int = 0
    last_stall: Stall | None = None
    pauses: int = 0
    last_pause: Stall | None = None
    histogram: Callable[[float], object] = lambda ms: None
    """Called with each lag in milliseconds: the histogram `proxy_loop_lag_ms`."""

    def observe(self, ms: float) -> None:
        self.histogram(ms)
        self.recent.append(ms)
        self.longest = max(self.longest, ms)

    def stalled(self, stall: Stall) -> None:
        self.stalls += 1
        self.last_stall = stall

    def paused(self, pause: Stall) -> None:
        self.pauses += 1
        self.last_pause = pause

    def quantile(self, share: float) -> float:
        """Return a quantile of the last minute, in milliseconds."""
        ordered = sorted(self.recent)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def report(self) -> dict[str, object]:
        """Return the `loop` of `/status`."""
        return {
            "lagMs": {
                "p50": round(self.quantile(0.5), 1),
                "p99": round(self.quantile(0.99), 1),
                "max": round(self.longest, 1),
            },
            "stalls": self.stalls,
            "lastStall": _stall(self.last_stall),
            "pauses": self.pauses,
            "lastPause": _stall(self.last_pause),
        }


def _stall(stall: Stall | None) -> dict[str, object] | None:
    if stall is None:
        return None
    return {
        "at": iso(stall.at),
        "ms": round(stall.seconds * 1000),
        "stack": list(stall.stack),
    }


def diagnose_lag(loop: object) -> Iterator[Diagnostic]:
    """Return the diagnostic of the `loop` of `/status`; none for a proxy of an older version."""
    if not isinstance(loop, dict) or not isinstance(loop.get("lagMs"), dict):
        return
    lag, last = loop["lagMs"], loop.get("lastStall")
    text = f"the event loop's lag is {lag['p99']:g} ms at most for 99 of 100 (longest {lag['max']:g} ms)"
    if not last:
        yield ok("loop-lag", text)
        return
    where = f" at {last['stack'][0]}" if last.get("stack") else ""
    often = f"{loop['stalls']} time{'s' * (loop['stalls'] != 1)}"
    yield warn(
        "loop-stalls",
        f"the event loop stood still {often}, the last one for {last['ms']} ms{where}:"
        " all streams waited meanwhile",
        "neurolink proxy doctor --bundle report.zip, and report it with what was asked then",
    )
