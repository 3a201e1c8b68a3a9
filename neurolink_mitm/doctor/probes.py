"""Blocking probes with a deadline; this machine's clock skew and the owner of a port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import psutil

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.oauth_wire import Wire
from neurolink_mitm.adapters.system import listening_process
from neurolink_mitm.core.status.probe_results import PortOwner

T = TypeVar("T")


def run_with_deadline(
    jobs: Mapping[str, Callable[[], T]], limit: float
) -> tuple[dict[str, T], dict[str, str]]:
    """Run `jobs` in threads for `limit` seconds; return results, and reasons for missing ones, by job name.

    A job that hangs (a name server, a dead network disk) is left behind in a daemon thread.
    """
    deadline = time.monotonic() + limit
    started = {name: _start(job) for name, job in jobs.items()}
    done: dict[str, T] = {}
    unchecked: dict[str, str] = {}
    for name, future in started.items():
        try:
            done[name] = future.result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            unchecked[name] = f"not done within {limit:.0f} s"
        except Exception as e:
            unchecked[name] = f"{type(e).__name__}: {e}"
    return done, unchecked


def _start(job: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except BaseException as e:
            future.set_exception(e)

    threading.Thread(target=run, daemon=True).start()
    return future


CLOCK_LIMIT = 5.0
"""Seconds for the answer that the clock is compared with."""


def measure_clock_skew(
    url: str,
    network: Network | None = None,
    own: str | None = None,
    *,
    limit: float = CLOCK_LIMIT,
    clock: Callable[[], float] = time.time,
) -> float | None:
    """Return the seconds that our clock is ahead of the server's, by the `Date` of its response to `HEAD url`.

    None if it does not answer within `limit` seconds or sends no `Date`. `Date` is in whole seconds, so
    less than two are no skew. Blocks; doesn't raise.
    """
    wire = Wire(clock, limit, network)
    wire.ask("HEAD", url, {}, own=own)
    return wire.skew


CONNECT_LIMIT = 2.0
"""Seconds for a connection to a port of this machine."""


def probe_port(host: str, port: int) -> PortOwner | None:
    """Return the owner of `port`, without a name if this user may not know it; None if nobody listens."""
    if not answers(host, port):
        return None
    with suppress(psutil.Error):
        if process := listening_process(port):
            return PortOwner(process.pid, process.name())
    return PortOwner()


def answers(host: str, port: int) -> bool:
    """Return whether a connection to `port` is accepted."""
    try:
        socket.create_connection((host, port), CONNECT_LIMIT).close()
    except OSError:
        return False
    return True
