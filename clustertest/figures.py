"""What a scenario found, beside what is promised."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A count or a time; `wanted` is the promise in words."""

    what: str
    found: str
    wanted: str
    met: bool


@dataclass(frozen=True)
class Scale:
    """The size of a run. Seconds, and requests a second.

    `grace` is the time that news of a 429 may take, and `added_ms` what p99 may grow by while Redis is away: the short
    form is lenient with both, since it shares the machine with other tests.
    """

    short: bool
    rate: float
    streams: int
    phase: float
    rounds: int
    grace: float
    added_ms: float
    sessions: int


FULL = Scale(False, 100, 300, 4.0, 5, 0.05, 5.0, 100_000)
SHORT = Scale(True, 30, 45, 2.5, 1, 0.25, 50.0, 2_000)


def exactly(what: str, found: int, wanted: int) -> Figure:
    return Figure(what, str(found), str(wanted), found == wanted)


def at_most(what: str, found: float, wanted: float, unit: str = "") -> Figure:
    return Figure(what, f"{found:g}{unit}", f"at most {wanted:g}{unit}", found <= wanted)


def at_least(what: str, found: float, wanted: float, unit: str = "") -> Figure:
    return Figure(what, f"{found:g}{unit}", f"at least {wanted:g}{unit}", found >= wanted)


def within(what: str, found: float, low: float, high: float) -> Figure:
    return Figure(what, f"{found:g}", f"{low:g} to {high:g}", low <= found <= high)


def reported(what: str, found: str) -> Figure:
    """A figure without a promise."""
    return Figure(what, found, "–", True)
