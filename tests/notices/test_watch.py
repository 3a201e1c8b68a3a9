from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.notices.conditions import Condition, Situation
from neurolink_mitm.notices.watch import AGAIN, GONE, LASTING, Mark, Watch
from tests.fakes import NOW

LOGIN = Condition("needs-login", "needs-login anthropic:a", "a")
COOLING = Condition("all-cooling", "all-cooling", "a", reset=NOW + 60)
DAY = 86_400.0


def window(reset: float | None, used: float = 0.9) -> Condition:
    return Condition("window-80", "window-80 anthropic:a 5h", "a", "5h", used, reset, reset)


@dataclass
class Clock:
    """Looks at a watch once a second, or whenever it is told to."""

    watch: Watch = field(default_factory=Watch)
    now: float = NOW

    def at(
        self,
        seconds: float,
        *conditions: Condition,
        serving: str | None = None,
        quiet: bool = False,
    ) -> list[str]:
        """What is told at `NOW` + so many seconds, after looks in each second until then."""
        told: list[str] = []
        until = NOW + seconds
        while True:
            situation = Situation(conditions, serving)
            told += [c.kind for c in self.watch.update(situation, self.now, quiet=quiet)]
            if self.now >= until:
                return told
            self.now = min(until, self.now + 1)


def test_a_cause_is_told_once() -> None:
    clock = Clock()
    assert clock.at(1000, LOGIN) == ["needs-login"]


def test_it_is_told_again_after_it_was_over_for_long() -> None:
    clock = Clock()
    assert clock.at(10, LOGIN) == ["needs-login"]
    assert clock.at(AGAIN + 10) == []
    assert clock.at(AGAIN + 20, LOGIN) == ["needs-login"]


def test_one_that_comes_back_soon_is_told_only_if_it_lasts() -> None:
    clock = Clock()
    assert clock.at(10, LOGIN) == ["needs-login"]
    assert clock.at(30) == []
    assert clock.at(30 + LASTING - 1, LOGIN) == []
    assert clock.at(30 + LASTING + 2, LOGIN) == ["needs-login"]


def test_all_cooling_and_back_are_a_pair() -> None:
    clock = Clock()
    assert clock.at(60, COOLING) == ["all-cooling"]
    assert clock.at(61, serving="a") == ["back"]
    assert clock.at(1000, serving="a") == []


def test_a_cooldown_that_has_run_out_is_back_after_a_moment() -> None:
    """It may be refused again: the probe tells."""
    clock = Clock()
    assert clock.at(60, COOLING) == ["all-cooling"]
    assert clock.at(60 + GONE - 1) == []
    assert clock.at(90, COOLING) == []
    assert clock.at(90 + GONE + 1) == ["back"]


def test_flapping_is_told_in_pairs_and_seldom() -> None:
    clock, told = Clock(), []
    for n in range(200):
        told += clock.at(n * 10 + 5, COOLING)
        told += clock.at(n * 10 + 10, serving="a")
    assert told == ["all-cooling", "back"] * (len(told) // 2)
    assert 2 <= len(told) <= 2 * (2000 / AGAIN + 1)


def test_a_window_is_told_once_until_its_reset() -> None:
    clock = Clock()
    assert clock.at(10, window(NOW + 1000)) == ["window-80"]
    assert clock.at(20) == []
    assert clock.at(900, window(NOW + 1002)) == []
    assert clock.at(1100) == []
    assert clock.at(1110, window(NOW + 19_000)) == ["window-80"]


def test_the_next_window_is_told_although_the_last_one_was_full_to_its_end() -> None:
    """A laptop has slept through the reset."""
    clock = Clock()
    assert clock.at(0, window(NOW + 1000)) == ["window-80"]
    clock.now = NOW + 2000
    assert clock.at(2000, window(NOW + 19_000)) == ["window-80"]


def test_a_reset_that_is_reported_a_little_later_is_the_same() -> None:
    clock = Clock()
    assert clock.at(0, window(NOW + 10)) == ["window-80"]
    clock.now = NOW + 20
    assert clock.at(40, window(NOW + 45)) == []


def test_a_reset_that_is_put_off_is_the_same_period() -> None:
    clock = Clock()
    assert clock.at(0, window(NOW + 1000)) == ["window-80"]
    assert clock.at(10, window(NOW + 9000)) == []


def test_quiet_hours_keep_what_holds_at_their_end() -> None:
    clock = Clock()
    assert clock.at(100, LOGIN, COOLING, quiet=True) == []
    assert clock.at(200, LOGIN, quiet=True) == []
    assert clock.at(201, LOGIN) == ["needs-login"]
    assert clock.at(400, LOGIN, serving="a") == []


def test_what_is_back_in_quiet_hours_is_told_at_their_end() -> None:
    clock = Clock()
    assert clock.at(0, COOLING) == ["all-cooling"]
    assert clock.at(100, serving="a", quiet=True) == []
    assert clock.at(101, serving="a") == ["back"]


def test_what_is_out_again_by_the_end_of_quiet_hours_is_the_same_outage() -> None:
    clock = Clock()
    assert clock.at(0, COOLING) == ["all-cooling"]
    assert clock.at(100, serving="a", quiet=True) == []
    assert clock.at(200, COOLING, quiet=True) == []
    assert clock.at(300, COOLING) == []
    assert clock.at(301, serving="a") == ["back"]


def restarted(clock: Clock) -> Clock:
    marks = msgspec.json.decode(msgspec.json.encode(clock.watch.marks), type=dict[str, Mark])
    again = Clock(now=clock.now)
    again.watch.restore(marks, clock.now)
    return again


def test_a_thousand_at_once_are_told_by_and_by() -> None:
    many = [Condition("needs-login", f"needs-login {n}") for n in range(1000)]
    clock = Clock()
    assert len(clock.at(0, *many)) == 50
    assert len(clock.at(30, *many)) == 950


def test_a_restart_tells_nothing_again() -> None:
    clock = Clock()
    told = clock.at(1, LOGIN, COOLING, window(NOW + 1000))
    assert told == ["needs-login", "all-cooling", "window-80"]
    clock = restarted(clock)
    assert clock.at(10, LOGIN, COOLING, window(NOW + 1000)) == []
    assert restarted(clock).at(11, LOGIN, serving="a") == ["back"]


def test_marks_of_a_clock_that_was_ahead_are_dropped() -> None:
    clock = Clock(now=NOW + DAY)
    clock.at(0, LOGIN)
    watch = Watch()
    watch.restore(clock.watch.marks, NOW)
    assert watch.marks == {}


def test_a_clock_that_is_set_back_tells_nothing_twice_and_forgets_nothing() -> None:
    clock = Clock()
    cap = Condition("cap", "cap", period_ends_at=NOW + DAY)
    assert clock.at(100, LOGIN, COOLING, cap) == ["needs-login", "all-cooling", "cap"]
    clock.now = NOW - DAY
    earlier = Condition("cap", "cap", period_ends_at=NOW)
    assert clock.at(50 - DAY, LOGIN, COOLING, earlier) == []
    assert clock.at(60 - DAY, LOGIN, earlier, serving="a") == ["back"]
    clock.now = NOW + 10
    assert clock.at(20, LOGIN) == []
    assert clock.at(30, LOGIN, cap) == ["cap"]


def test_a_clock_that_is_set_back_does_not_keep_what_is_over() -> None:
    clock = Clock()
    clock.at(0, LOGIN)
    clock.at(1)
    clock.now = NOW - DAY
    clock.at(GONE + 1 - DAY)
    assert clock.watch.marks == {}


def test_the_watch_remembers_nothing_of_what_is_over() -> None:
    clock = Clock()
    clock.at(10, *(Condition("needs-login", f"needs-login {n}") for n in range(1000)))
    clock.at(AGAIN + 30)
    assert clock.watch.marks == clock.watch._held == clock.watch._told_at == {}


steps = st.lists(
    st.tuples(st.floats(-3600, 3600), st.booleans(), st.booleans(), st.booleans(), st.booleans())
)


@given(steps)
def test_all_cooling_and_back_come_by_turns(
    steps: list[tuple[float, bool, bool, bool, bool]],
) -> None:
    """Whatever the clock, the pool and the quiet hours do."""
    watch, now, told = Watch(), NOW, []
    for by, cooling, serving, full, quiet in steps:
        now += by
        conditions = (*([COOLING] if cooling else []), *([window(now + 60)] if full else []))
        situation = Situation(conditions, "a" if serving and not cooling else None)
        told += [c.kind for c in watch.update(situation, now, quiet=quiet)]
    pairs = [kind for kind in told if kind in ("all-cooling", "back")]
    assert pairs == (["all-cooling", "back"] * len(pairs))[: len(pairs)]
