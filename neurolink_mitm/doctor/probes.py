"""Runs blocking jobs beside each other, none of them for longer than it may take.

How far this machine's clock is from a server's: what ends at a time depends on it.

Who listens on a port of this machine.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TypeVar

import psutil

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.adapters.oauth_wire import Wire
from neurolink_mitm.core.status.probe_results import PortOwner

T = TypeVar("T")


def run_with_deadline(
    jobs: Mapping[str, Callable[[], T]], limit: float
) -> tuple[dict[str, T], dict[str, str]]:
    """What came of the jobs, and why nothing came of the others, by their names.

    A job that hangs (a name server, a dead network disk) is left behind: its thread is a daemon's, so that the process
    can end without it.
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


def measure_clock_skew(
    url: str,
    network: Network | None = None,
    own: str | None = None,
    *,
    limit: float = CLOCK_LIMIT,
    clock: Callable[[], float] = time.time,
) -> float | None:
    """Seconds that our clock is ahead of the server's, by the `Date` of its answer to `HEAD url`.

    Whatever status it answers with will do. None where it can't be reached within `limit` seconds
    or tells no time. `Date` is in whole seconds, so less than two is nothing. Blocks; doesn't raise.
    """
    wire = Wire(clock, limit, network)
    wire.ask("HEAD", url, {}, own=own)
    return wire.skew


LISTEN_LIMIT = 2.0


def port_owner(host: str, port: int) -> PortOwner | None:
    """None where nobody does. Who it is may be a secret: other users' programs are."""
    if not answers(host, port):
        return None
    try:
        found = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and tuple(connection.laddr)[1:] == (port,)
        ]
        pid = next((pid for pid in found if pid), None)
        return PortOwner(pid, psutil.Process(pid).name()) if pid else PortOwner()
    except (psutil.Error, OSError):  # macOS tells only root
        return PortOwner()


def answers(host: str, port: int) -> bool:
    """Whether a connection is taken there."""
    try:
        socket.create_connection((host, port), LISTEN_LIMIT).close()
    except OSError:
        return False
    return True
