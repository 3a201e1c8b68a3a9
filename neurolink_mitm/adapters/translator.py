"""The translator's process: started, watched, restarted when it ends, and ended with the proxy."""

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
"""Seconds until it has to listen; LiteLLM takes a few to import, and more on a busy machine."""
STOP_LIMIT = 3.0
HOPELESS = 3
"""Starts in a row that came to nothing, after which nobody waits for the next."""
NOTICE_LIMIT = 1.0
"""Seconds until the end of a process is noticed at the latest."""
MAX_LOG = log_trim.MOST["translator.log"]


@dataclass(slots=True)
class Report:
    """What `/status` says of it."""

    state: str = "stopped"
    pid: int | None = None
    port: int | None = None
    restarts: int = 0
    last_error: str | None = None


@dataclass(slots=True)
class _Life:
    """One process, from its start to its end."""

    process: asyncio.subprocess.Process
    endpoint: Endpoint | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    began: float = field(default_factory=lambda: asyncio.get_running_loop().time())


class TranslatorProcess:
    """A component that runs on one event loop. Nothing is started before somebody wants it, or waits for it."""

    def __init__(
        self,
        log: Path,
        setup: Setup,
        environment: Mapping[str, str],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """`environment` is all that the process gets to see of ours; `wanted` says whether `start` starts it."""
        self._log = log
        self._wanted = wanted
        self._serving = False
        self._setup = setup
        self._environment = dict(environment)
        self._life: _Life | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._decided = asyncio.Event()  # it listens, or nobody is to wait for that any more
        self._report = Report()
        self._fruitless = 0

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it listens; None while it does not."""
        return self._life.endpoint if self._life else None

    def report(self) -> dict[str, object]:
        seen = self._report
        return {
            "state": seen.state,
            "pid": seen.pid,
            "port": seen.port,
            "restarts": seen.restarts,
            "lastError": seen.last_error,
            "rss": _rss(seen.pid),
        }

    async def start(self) -> None:
        """Begin, if it is wanted; else when it is wanted, by another configuration or a request."""
        self._serving = True
        if self._wanted():
            self._begin()

    def _begin(self) -> None:
        """It is ready some seconds later."""
        if self._keeper is None or self._keeper.done():
            self._report.state = "starting"
            keeping = run_again(self._keep, "the translator's supervision")
            self._keeper = asyncio.create_task(keeping, name="translator")

    async def wait(self, limit: float) -> Endpoint | None:
        """Where it listens, as soon as it does; None if it does not within `limit` seconds.

        As soon as it has failed to start again and again, nobody waits any longer.
        """
        self._begin()
        if self._fruitless >= HOPELESS:
            return self.endpoint
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._decided.wait(), limit)
        return self.endpoint

    async def settle(self) -> None:
        """After a connection to it broke: return as soon as its end has been noticed, or soon if it lives on."""
        life = self._life
        if life is None or life.endpoint is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(life.ended.wait(), NOTICE_LIMIT)

    def configure(self, setup: Setup, environment: Mapping[str, str]) -> None:
        """Use these from the next request on. Only another environment asks for another process."""
        changed = dict(environment) != self._environment
        self._setup, self._environment = setup, dict(environment)
        if self._life and changed:
            self._life.process.terminate()  # the keeper starts the next
        elif self._life:
            self._tell(self._life.process)
        elif self._serving and self._wanted():
            self._begin()

    async def stop(self) -> None:
        """End it, and wait for that."""
        self._serving = False
        keeper, self._keeper = self._keeper, None
        if keeper:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        self._report.state = "stopped"

    async def _keep(self) -> None:
        backoff = Backoff()
        while True:
            lived = await self._live()
            self._fruitless = 0 if lived else self._fruitless + 1
            if self._fruitless >= HOPELESS:
                self._decided.set()
            self._report.restarts += 1
            self._report.state = "restarting"
            logger.warning(
                "the translator has ended and is started again: %s", self._report.last_error
            )
            await asyncio.sleep(backoff.pause(lived))

    async def _live(self) -> float:
        """One life of the process, to its end. Returns the seconds that it was of use."""
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
            self._decided.clear()
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
            self._fruitless = 0
            self._decided.set()
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
        self._tell(process)
        return process

    def _tell(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError, RuntimeError):  # it has just ended
            process.stdin.write(msgspec.json.encode(self._setup) + b"\n")


async def _end(process: asyncio.subprocess.Process) -> None:
    """At once where it does not go by itself when its standard input ends."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_LIMIT)
    except (TimeoutError, asyncio.CancelledError):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _open_log(path: Path) -> IO[bytes]:
    """For appending."""
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
