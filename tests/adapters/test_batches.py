from __future__ import annotations

import threading
import time

from neurolink_mitm.adapters.batches import Batches
from tests.waiting import LIMIT, wait_until


def test_what_waits_is_one_batch() -> None:
    queue = Batches[int](0)
    for number in range(1000):
        queue.put(number)
    assert len(queue) == 1000
    queue.end()
    assert list(queue) == [list(range(1000))]


def test_nothing_is_no_batch() -> None:
    queue = Batches[int](0)
    queue.end()
    assert list(queue) == []


def test_an_ended_queue_does_not_gather() -> None:
    queue = Batches[int](LIMIT)
    queue.put(1)
    iteration = iter(queue)
    assert next(iteration) == [1]
    queue.put(2)
    queue.end()
    began = time.monotonic()
    assert list(iteration) == [[2]]
    assert time.monotonic() - began < LIMIT / 2


def test_the_first_comes_at_once_and_later_ones_together() -> None:
    queue = Batches[float](0.2)
    taken: list[list[float]] = []
    times: list[float] = []

    def take() -> None:
        for batch in queue:
            taken.append(batch)
            times.append(time.monotonic())

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    queue.put(1)
    wait_until(lambda: taken, "the first is taken")
    queue.put(2)
    queue.put(3)
    wait_until(lambda: len(taken) == 2, "the others are taken")
    queue.end()
    thread.join(LIMIT)
    assert taken == [[1], [2, 3]]
    assert times[1] - times[0] >= 0.2


def test_a_reader_that_failed_begins_where_it_was() -> None:
    """As `background.Worker` starts it again, also after the end."""
    queue = Batches[int](0)
    queue.put(1)
    for batch in queue:
        assert batch == [1]
        break
    queue.put(2)
    queue.end()
    assert next(iter(queue)) == [2]
    assert list(queue) == []
