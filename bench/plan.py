"""The size of a run."""

from dataclasses import dataclass

from bench.payloads import Pace


@dataclass(frozen=True)
class Crowd:
    """Slow streams: their number, the seconds within which they begin one after the other, their pace."""

    streams: int
    ramp: float
    pace: Pace


@dataclass(frozen=True)
class Plan:
    """The size of a run: `requests` in a batch, after a `warm_up`; `later_requests` twice after slow streams.

    Of each comparison, a round after the first one begins only if it probably ends within the comparison's
    seconds, shortened to the share `time`. Of a `distant` upstream that many requests are measured, or
    `distant_pauses` of those that need a pause first.
    """

    rounds: int
    requests: int
    warm_up: int
    time: float
    crowd: Crowd
    later_requests: int
    distant: int
    distant_pauses: int


FULL = Plan(12, 200, 100, 1.0, Crowd(1000, 5.0, Pace(20, 500)), 400, 30, 6)
QUICK = Plan(2, 60, 20, 0.15, Crowd(200, 1.0, Pace(20, 100)), 100, 10, 2)
