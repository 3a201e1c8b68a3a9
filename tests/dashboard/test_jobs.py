from __future__ import annotations

import threading

import pytest

from neurolink_mitm.dashboard.failures import BusyError
from neurolink_mitm.dashboard.jobs import KEPT, Job, Jobs
from tests.fakes import NOW

LIMIT = 10.0


def finished(job: Job) -> Job:
    assert job.ended.wait(LIMIT)
    return job


def test_who_asks_meanwhile_shares_it() -> None:
    jobs, go = Jobs(lambda: NOW), threading.Event()
    job = jobs.start("a:1", lambda job: go.wait(LIMIT) and 7)
    assert jobs.start("a:1", lambda job: 8) is job
    assert job.running
    go.set()
    assert (finished(job).result, job.done_at, jobs.find("a:1")) == (7, NOW, job)
    assert finished(jobs.start("a:1", lambda job: 8)).result == 8


def test_those_of_one_kind_run_one_after_the_other() -> None:
    jobs, go, began = Jobs(lambda: NOW), threading.Event(), threading.Event()
    jobs.start("a:1", lambda job: began.set() or go.wait(LIMIT))
    assert began.wait(LIMIT)
    second = jobs.start("a:2", lambda job: go.is_set())
    assert finished(jobs.start("b", lambda job: go.is_set())).result is False
    go.set()
    assert finished(second).result is True


def test_a_failure_is_no_result(caplog: pytest.LogCaptureFixture) -> None:
    job = finished(Jobs(lambda: NOW).start("a", lambda job: 1 / 0))
    assert (job.failed, job.result) == (True, None)
    assert "the dashboard can't do this: a" in caplog.text


def test_a_proxy_that_stops_is_no_failure_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    def work(job: Job) -> None:
        raise BusyError("the proxy is stopping")

    job = finished(Jobs(lambda: NOW).start("a", work))
    assert (job.failed, caplog.records) == (True, [])


def test_a_stop_ends_them() -> None:
    jobs = Jobs(lambda: NOW)

    def work(job: Job) -> None:
        while True:
            job.advance(0.5)

    job = jobs.start("a", work)
    jobs.stop()
    assert finished(job).failed


def test_the_latest_results_are_kept() -> None:
    jobs = Jobs(lambda: NOW)
    for number in range(KEPT + 2):
        finished(jobs.start(f"a:{number}", lambda job: 1))
    assert jobs.find("a:0") is None
    assert jobs.find(f"a:{KEPT}") is not None
