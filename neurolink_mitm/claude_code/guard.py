"""The guard: a small process that puts Claude Code's settings back where its proxy died without doing so.

    python -m neurolink_mitm.claude_code.guard NEUROLINK_HOME PID [STARTED]

It outlives the proxy, and the terminal. It imports little, since it runs all the time. With STARTED, when the proxy's
process began, it is there before the settings are changed, and waits for that.

A proxy that runs but does not answer (stopped, stalled) is detached, and attached again when it answers.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import is_running
from neurolink_mitm.claude_code.settings import ClaudeSettings, Entry, SettingsError
from neurolink_mitm.claude_code.watchdog_policy import (
    JUMP,
    MISSES,
    NO_ANSWER,
    WatchdogAction,
    choose_action,
    count_misses,
)

EVERY = 1.0
"""Seconds between two looks."""
ANSWER_LIMIT = 0.9
AWAIT_LIMIT = 60.0
"""Seconds in which a proxy that has started its guard changes the settings."""
PUT_BACK_TRIES = 60
"""Seconds in which whoever is editing the settings can finish."""
ENDING = (signal.SIGTERM, signal.SIGINT)
Log = Callable[[str], None]

AS_BEFORE = "Claude Code's settings are as they were before"
NOT_AGAIN = (
    "Claude Code is not attached again: another proxy is, or its address was set anew meanwhile"
)


def run(home: Home, pid: int, started: float | None = None) -> None:
    """Watch the proxy until it has ended, one way or another. A second guard of one proxy leaves at once."""
    lock = FileLock(home.root / f"guard-{pid}.lock", timeout=0, mode=0o600)
    # Told to end while the lock is being taken, it would leave the file: that is told afterwards.
    with _masked(signal.SIG_BLOCK), suppress(Timeout), lock:
        try:
            with _masked(signal.SIG_UNBLOCK):
                settings = ClaudeSettings(home.claude_settings)
                Watch(settings, pid, _logger(home.logs / "guard.log", pid), started).run()
        finally:
            with suppress(OSError):
                os.unlink(lock.lock_file)


@contextmanager
def _masked(how: int) -> Iterator[None]:
    """Whether the signals that end a guard reach it."""
    before = signal.pthread_sigmask(how, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Watch:
    """One guard's watch over one proxy."""

    def __init__(
        self, settings: ClaudeSettings, pid: int, log: Log, started: float | None = None
    ) -> None:
        """`started`: the proxy, whose process began then, is about to change the settings."""
        self._settings, self._pid, self._log = settings, pid, log
        self._started = started
        self._deadline = time.monotonic() + AWAIT_LIMIT
        self._misses = self._failures = 0
        self._half_done = False
        self._told = ""

    def run(self) -> None:
        """Until there is nothing left to watch."""
        self._log("watches it")
        due = time.monotonic()
        while (action := self._next()) in (
            WatchdogAction.WATCH,
            WatchdogAction.SILENT,
            WatchdogAction.BACK,
        ):
            self._act(action)
            due = max(due + EVERY, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - due > JUMP:
                self._misses = 0
        self._log(action.value)
        if action is WatchdogAction.DEAD:
            _put_back(self._settings, self._pid, self._log)

    def _next(self) -> WatchdogAction:
        """What to do now. A look that fails for whatever reason is taken again, so many times in a row."""
        try:
            action = self._look()
        except Exception as e:
            self._failures += 1
            if self._failures > PUT_BACK_TRIES:
                raise
            self._tell(f"{type(e).__name__}: {e}")
            return WatchdogAction.WATCH
        self._failures = 0
        return action

    def _look(self) -> WatchdogAction:
        entry = _entry(self._settings, self._pid)
        if entry is None:
            awaited = self._started is not None and time.monotonic() < self._deadline
            alive = self._started is not None and is_running(self._pid, self._started)
            return choose_action(
                recorded=False, alive=alive, answers=False, misses=0, awaited=awaited
            )
        self._started = None
        detached = entry.away is not None
        answers = self._ask(entry.url, MISSES if detached else MISSES - self._misses)
        return choose_action(
            recorded=True, alive=entry.alive, answers=answers, misses=self._misses, detached=detached
        )  # fmt: skip

    def _ask(self, url: str, seconds: float) -> bool:
        """With all the patience that is left: one that is slow is not gone."""
        limit, began = max(ANSWER_LIMIT, seconds), time.monotonic()
        answers = healthy(url, limit)
        took = time.monotonic() - began
        self._misses = count_misses(self._misses, answers=answers, took=took, limit=limit)
        return answers

    def _act(self, action: WatchdogAction) -> None:
        try:
            if action is WatchdogAction.SILENT or self._half_done:
                self._detach(action)
            elif action is WatchdogAction.BACK:
                done = self._settings.attach_again(self._pid, time.time())
                self._tell(
                    f"{action.value}, and Claude Code comes to it again" if done else NOT_AGAIN
                )
        except Exception as e:  # of the settings, mostly; none of them ends the guard
            self._tell(str(e))

    def _detach(self, action: WatchdogAction) -> None:
        if not self._half_done:
            self._log(action.value)
        self._half_done = True
        if self._settings.detach(self._pid, NO_ANSWER, time.time()):
            self._tell(AS_BEFORE)
        self._half_done = False

    def _tell(self, text: str) -> None:
        """What is so again and again is said once."""
        if text != self._told:
            self._log(text)
        self._told = text


def _entry(settings: ClaudeSettings, pid: int) -> Entry | None:
    """What is to be put back. One that can't be read now may be readable in a second."""
    for _ in range(PUT_BACK_TRIES):
        with suppress(SettingsError):
            return settings.entry(pid)
        time.sleep(EVERY)
    return None


def _put_back(settings: ClaudeSettings, pid: int, log: Log) -> None:
    told = ""
    for _ in range(PUT_BACK_TRIES):
        try:
            settings.release(pid)
        except Exception as e:
            if str(e) != told:
                log(told := str(e))
            time.sleep(EVERY)
        else:
            log(AS_BEFORE)
            return
    log("gave up; the next `neurolink proxy start` tries again")


def healthy(url: str, limit: float = ANSWER_LIMIT) -> bool:
    """Whether a proxy answers there within so many seconds."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=limit)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _logger(path: Path, pid: int) -> Log:
    """Lines into a file; that it can't be written is no reason to stop watching."""

    def log(text: str) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{moment} guard {os.getpid()} of proxy {pid}: {text}\n")

    return log


def main(root: str, pid: str, started: str | None = None) -> None:
    for number in ENDING:
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run(Home(Path(root)), int(pid), float(started) if started else None)


if __name__ == "__main__":
    main(*sys.argv[1:])
