"""Runs the translator's process: starts it on demand, restarts it when it ends, stops it with the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import msgspec
import psutil

from neurolink_mitm.adapters import log_trim
from neurolink_mitm.adapters.background import Backoff, run_again
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.providers.translator import Listening, Setup
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.ports import Endpoint

logger = logging.getLogger("neurolink.translator")

START_LIMIT = 60.0
"""Seconds within which it has to listen: importing LiteLLM takes a few, and more on a busy machine."""
STOP_LIMIT = 3.0
"""Seconds within which it has to end, before it is killed."""
HOPELESS = 3
"""Failed starts in a row after which requests don't wait for the next one."""
NOTICE_LIMIT = 1.0
"""Seconds within which the end of the process is noticed."""


@dataclass(slots=True)
class Report:
    """The translator's part of `/status`."""

    state: str = "stopped"
    pid: int | None = None
    port: int | None = None
    restarts: int = 0
    last_error: str | None = None


@dataclass(slots=True)
class _Life:
    """One run of the process."""

    process: asyncio.subprocess.Process
    endpoint: Endpoint | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class TranslatorProcess:
    """The translator's process, on one event loop. It starts when the configuration or a request needs it."""

    def __init__(
        self,
        log: Path,
        setup: Setup,
        environment: Mapping[str, str],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """`environment` is the whole environment of the process; `wanted` tells whether `start` starts it."""
        self._log = log
        self._wanted = wanted
        self._serving = False
        self._setup = setup
        self._environment = dict(environment)
        self._life: _Life | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # it listens, or is hopeless
        self._report = Report()
        self._failed_starts = 0

    @property
    def endpoint(self) -> Endpoint | None:
        """Return the address and secret; None while it does not listen."""
        return self._life.endpoint if self._life else None

    def report(self) -> dict[str, object]:
        """Return what `/status` says of the translator."""
        now = self._report
        return {
            "state": now.state,
            "pid": now.pid,
            "port": now.port,
            "restarts": now.restarts,
            "lastError": now.last_error,
            "rss": _rss(now.pid),
        }

    async def start(self) -> None:
        """Start the process if the configuration needs it; else a reload or a request does."""
        self._serving = True
        if self._wanted():
            self._begin()

    def _begin(self) -> None:
        if self._supervisor is None or self._supervisor.done():
            self._report.state = "starting"
            supervising = run_again(self._supervise, "the translator's supervision")
            self._supervisor = asyncio.create_task(supervising, name="translator")

    async def wait(self, limit: float) -> Endpoint | None:
        """Return its endpoint as soon as it listens; None if it does not within `limit` seconds, or is hopeless."""
        self._begin()
        if self._failed_starts >= HOPELESS:
            return self.endpoint
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), limit)
        return self.endpoint

    async def settle(self) -> None:
        """Wait, after a connection to it broke, until its end is noticed, or `NOTICE_LIMIT`."""
        life = self._life
        if life is None or life.endpoint is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(life.ended.wait(), NOTICE_LIMIT)

    def configure(self, setup: Setup, environment: Mapping[str, str]) -> None:
        """Apply a configuration from the next request on. Another environment restarts the process."""
        changed = dict(environment) != self._environment
        self._setup, self._environment = setup, dict(environment)
        if self._life and changed:
            self._life.process.terminate()  # the supervisor starts the next
        elif self._life:
            self._send_setup(self._life.process)
        elif self._serving and self._wanted():
            self._begin()

    async def stop(self) -> None:
        """End the process, and wait for that."""
        self._serving = False
        supervisor, self._supervisor = self._supervisor, None
        if supervisor:
            supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await supervisor
        self._report.state = "stopped"

    async def _supervise(self) -> None:
        backoff = Backoff()
        while True:
            served = await self._live()
            self._failed_starts = 0 if served else self._failed_starts + 1
            if self._failed_starts >= HOPELESS:
                self._settled.set()
            self._report.restarts += 1
            self._report.state = "restarting"
            logger.warning(
                "the translator has ended and is started again: %s", self._report.last_error
            )
            await asyncio.sleep(backoff.pause(served))

    async def _live(self) -> float:
        """Run the process to its end; return the seconds since its start if it listened, else 0."""
        try:
            process = await self._spawn()
        except OSError as e:
            self._report.last_error = f"can't be started: {e.strerror or e}"
            return 0.0
        self._life = life = _Life(process)
        self._report.pid = process.pid
        try:
            await self._until_it_ends(life)
        finally:
            self._settled.clear()
            self._life = None
            life.ended.set()
            self._report.pid = self._report.port = None
            await _end(process)
        return asyncio.get_running_loop().time() - life.began if life.endpoint else 0.0

    async def _until_it_ends(self, life: _Life) -> None:
        process = life.process
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_LIMIT)
        except TimeoutError:
            self._report.last_error = f"did not listen within {START_LIMIT:.0f} s"
            return
        if line:
            try:
                listening = msgspec.json.decode(line, type=Listening)
            except UNREADABLE:
                self._report.last_error = f"does not say where it listens; see {self._log}"
                return
            life.endpoint = Endpoint(listening.port, self._setup.secret)
            self._report.state, self._report.port = "ready", listening.port
            logger.info("the translator listens on port %d", listening.port)
            self._failed_starts = 0
            self._settled.set()
        code = await process.wait()
        self._report.last_error = f"ended with code {code}; see {self._log}"

    async def _spawn(self) -> asyncio.subprocess.Process:
        log = await asyncio.to_thread(_open_log, self._log)
        try:
            process = await asyncio.create_subprocess_exec(
                # -P: what lies in the current directory must not be imported in place of a library
                sys.executable, "-P", "-m", "neurolink_mitm.translator",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                env=self._environment, start_new_session=True,
            )  # fmt: skip
        finally:
            log.close()
        self._send_setup(process)
        return process

    def _send_setup(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):  # it has just ended
            process.stdin.write(msgspec.json.encode(self._setup) + b"\n")


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process by closing its standard input; kill it after `STOP_LIMIT`."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_LIMIT)
    except (TimeoutError, asyncio.CancelledError):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _open_log(path: Path) -> IO[bytes]:
    """Open the log for appending; if that fails, the null device."""
    try:
        return os.fdopen(log_trim.open_log(path), "ab")
    except OSError as e:
        logger.warning("the translator writes no log: %s", redact(e.strerror or str(e)))
        return open(os.devnull, "ab")


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
