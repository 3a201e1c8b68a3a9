from __future__ import annotations

import asyncio
import threading

import pytest

from neurolink_mitm.adapters.background import LONGEST_PAUSE, STEADY, Backoff, Worker, run_again
from tests.waiting import LIMIT


def test_pauses_grow_and_begin_anew_after_steady_work() -> None:
    backoff = Backoff()
    pauses = [backoff.pause(0.0) for _ in range(8)]
    assert pauses[:3] == pytest.approx([0.2, 0.6, 1.8])
    assert pauses[-1] == LONGEST_PAUSE
    assert backoff.pause(STEADY + 1) == 0.2


async def test_a_job_is_run_until_it_returns(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[int] = []

    async def job() -> None:
        runs.append(len(runs))
        if len(runs) < 3:
            raise ValueError("unforeseen")

    async with asyncio.timeout(LIMIT):
        await run_again(job, "a job")
    assert runs == [0, 1, 2]
    assert caplog.text.count("a job has failed and is started again") == 2


def test_a_threads_work_is_run_until_it_returns(caplog: pytest.LogCaptureFixture) -> None:
    runs, done = [], threading.Event()

    def work() -> None:
        runs.append(1)
        if len(runs) < 3:
            raise ValueError("unforeseen")
        done.set()

    worker = Worker(work, "a thread")
    assert done.wait(LIMIT)
    worker.end(LIMIT)
    assert not worker.is_alive()
    assert caplog.text.count("a thread has failed and is started again") == 2


def test_work_that_fails_for_ever_does_not_keep_the_end() -> None:
    failed = threading.Event()

    def work() -> None:
        failed.set()
        raise ValueError("unforeseen")

    worker = Worker(work, "a thread")
    assert failed.wait(LIMIT)
    worker.end(LIMIT)
    assert not worker.is_alive()
