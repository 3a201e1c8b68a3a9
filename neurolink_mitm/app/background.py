"""Tasks beside requests: reload, token refresh, log retention, memory trimming, the loop's watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from neurolink_mitm.adapters.background import Job, run_again
from neurolink_mitm.adapters.log_trim import keep_logs_short
from neurolink_mitm.adapters.loop_watchdog import LoopWatchdog
from neurolink_mitm.adapters.system import return_free_memory
from neurolink_mitm.app.wiring import Prepared
from neurolink_mitm.config.reloader import Reloader
from neurolink_mitm.core.auth.oauth import needs_refresh
from neurolink_mitm.core.auth.refresh import take_over
from neurolink_mitm.ports import Refresher, Runtime
from neurolink_mitm.records.retention import keep_clean

STALLS = "stalls.log"
"""File among the logs with the stack of a loop that stalls."""
AGAIN = 5.0
"""Seconds between two attempts to write tokens that only this process has."""


class BackgroundTasks:
    """The component of jobs that run beside requests, by their names. One that raises is started again."""

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        running = [run_again(job, name) for name, job in self._jobs.items()]
        self._tasks = [asyncio.create_task(each) for each in running]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def background_tasks(prepared: Prepared) -> BackgroundTasks:
    """Return the tasks of this proxy. It watches its files from now on, so that no change is missed."""
    runtime, logs = prepared.runtime, prepared.home.logs
    if prepared.sources is None:
        return BackgroundTasks({})
    jobs: dict[str, Job] = {
        "configuration reload": Reloader(runtime, prepared.sources).run,
        "memory trimming": return_free_memory,
        "watchdog": LoopWatchdog(runtime.lag, logs / STALLS).run,
        "log trimming": partial(keep_logs_short, logs),
        "log cleaning": partial(
            keep_clean, logs, lambda: runtime.config.logging, runtime.clock.now
        ),
    }
    if refresher := runtime.refresher:
        jobs["token refresh"] = partial(keep_fresh, runtime, refresher, prepared.health_interval)
        jobs["token writing"] = partial(write_again, refresher)
    return BackgroundTasks(jobs)


async def keep_fresh(runtime: Runtime, refresher: Refresher, every: float) -> None:
    """Refresh tokens that have expired or are about to, `every` so many seconds."""
    while True:
        for account in runtime.pool.accounts:
            due = needs_refresh(account.expires_at, runtime.clock.now())
            if account.refreshable and not account.disabled and due:
                take_over(runtime.pool, await refresher.fresh(account))
        await asyncio.sleep(every)


async def write_again(refresher: Refresher) -> None:
    """Write tokens that could not be written before."""
    while True:
        await asyncio.sleep(AGAIN)
        if refresher.unwritten:
            await refresher.flush()
