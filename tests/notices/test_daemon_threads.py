from __future__ import annotations

import threading

import pytest

from neurolink_mitm.notices.daemon_threads import DaemonThreads


def test_each_call_has_a_thread_that_nobody_waits_for() -> None:
    threads, ends = DaemonThreads(), threading.Event()
    hanging = [threads.submit(ends.wait, 10) for _ in range(20)]
    assert threads.submit(lambda: threading.current_thread().daemon).result(timeout=5) is True
    threads.shutdown(wait=True)
    assert not any(call.done() for call in hanging)
    ends.set()
    assert all(call.result(timeout=5) for call in hanging)


def test_a_call_that_fails_says_so() -> None:
    with pytest.raises(ZeroDivisionError):
        DaemonThreads().submit(lambda: 1 / 0).result(timeout=5)
