"""Jobs beside each other, none for too long."""

from __future__ import annotations

import threading

from neurolink_mitm.adapters.in_time import in_time


def test_results_by_name() -> None:
    assert in_time({"a": lambda: 1, "b": lambda: 2}, 5) == ({"a": 1, "b": 2}, {})


def test_they_run_at_the_same_time() -> None:
    """Each waits for the other."""
    both = threading.Barrier(2)
    done, undone = in_time({"a": lambda: both.wait(5), "b": lambda: both.wait(5)}, 6)
    assert (set(done), undone) == ({"a", "b"}, {})


def test_one_that_hangs_is_left_behind() -> None:
    ever = threading.Event()
    done, undone = in_time({"hangs": lambda: ever.wait(20), "quick": lambda: True}, 0.2)
    ever.set()
    assert (done, undone) == ({"quick": True}, {"hangs": "not done within 0 s"})


def test_one_that_fails_says_why() -> None:
    def fails() -> None:
        raise OSError("no such disk")

    assert in_time({"fails": fails}, 5) == ({}, {"fails": "OSError: no such disk"})
