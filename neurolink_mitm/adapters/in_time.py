"""Runs blocking jobs beside each other, none of them for longer than it may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_time(
    jobs: Mapping[str, Callable[[], T]], limit: float
) -> tuple[dict[str, T], dict[str, str]]:
    """What came of the jobs, and why nothing came of the others, by their names.

    A job that hangs (a name server, a dead network disk) is left behind: its thread is a daemon's, so that the process
    can end without it.
    """
    deadline = time.monotonic() + limit
    started = {name: _start(job) for name, job in jobs.items()}
    done: dict[str, T] = {}
    undone: dict[str, str] = {}
    for name, future in started.items():
        try:
            done[name] = future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            undone[name] = f"not done within {limit:.0f} s"
        except Exception as e:
            undone[name] = f"{type(e).__name__}: {e}"
    return done, undone


def _start(job: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except BaseException as e:
            future.set_exception(e)

    threading.Thread(target=run, daemon=True).start()
    return future
