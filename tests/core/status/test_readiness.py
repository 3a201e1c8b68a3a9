"""When callers should be sent here, and when a balancer has noticed that they should not."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.status.readiness import LATELY, MOST_ASKERS, REFUSALS, SETTLE, Readiness


def ready() -> Readiness:
    readiness = Readiness()
    readiness.serve()
    return readiness


def test_it_is_ready_between_its_start_and_its_end() -> None:
    readiness, phases = Readiness(), []
    readiness.on_change.append(lambda: phases.append(readiness.phase))
    assert not readiness.asked("a", 0)
    readiness.serve()
    assert readiness.asked("a", 1)
    readiness.drain(2)
    readiness.drain(3)
    assert not readiness.asked("a", 3)
    readiness.serve()
    assert phases == ["ready", "draining"]


def test_where_nobody_asks_nobody_is_waited_for() -> None:
    readiness = ready()
    readiness.drain(0)
    assert readiness.is_noticed(0)


@pytest.mark.parametrize(("before", "noticed"), [(LATELY - 1, False), (LATELY + 1, True)])
def test_who_asked_lately_is_waited_for(before: float, *, noticed: bool) -> None:
    readiness = ready()
    readiness.asked("a", 100 - before)
    readiness.drain(100)
    assert readiness.is_noticed(100) is noticed


def test_each_has_to_be_refused_several_times_and_gets_a_moment_for_the_last() -> None:
    readiness = ready()
    for peer in ("a", "b"):
        readiness.asked(peer, 0)
    readiness.drain(1)
    for _ in range(REFUSALS):
        readiness.asked("a", 2)
    assert not readiness.is_noticed(2 + SETTLE)
    for _ in range(REFUSALS):
        assert not readiness.is_noticed(3 + SETTLE)
        readiness.asked("b", 3)
    assert not readiness.is_noticed(3)
    assert readiness.is_noticed(3 + 2 * SETTLE)


def test_not_every_asker_is_remembered() -> None:
    readiness = ready()
    for number in range(MOST_ASKERS + 9):
        readiness.asked(f"10.0.0.{number}", number / 100)
    assert len(readiness._askers) == MOST_ASKERS


def test_who_asks_again_and_again_holds_nothing_up() -> None:
    readiness = ready()
    readiness.asked("a", 0)
    readiness.drain(1)
    for tenth in range(20):
        readiness.asked("a", 1 + tenth / 10)
    assert readiness.is_noticed(3)
