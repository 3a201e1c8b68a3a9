"""The guard: a small process that restores Claude Code's settings if the proxy dies without doing so.

    python -m neurolink_mitm.claude_code.guard NEUROLINK_HOME PID [STARTED]

It outlives the proxy and the terminal, and imports little, since it runs all the time. STARTED is the start of the
proxy's process: with it the guard begins before the settings are changed, and waits for that.

Claude Code is detached from a proxy that does not answer (stopped, stalled), and attached again when it answers.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock, Timeout

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.own_address import open_connection
from neurolink_mitm.adapters.state_file import ProxyState, StateFile, is_running
from neurolink_mitm.claude_code.attachments import AllSettings
from neurolink_mitm.claude_code.settings import Attachments, Entry, SettingsError
from neurolink_mitm.claude_code.watchdog_policy import (
    JUMP,
    MISSES,
    NO_ANSWER,
    WatchdogAction,
    choose_action,
    count_misses,
)

EVERY = 1.0
"""Seconds between two health checks."""
ANSWER_LIMIT = 0.9
"""Seconds for the answer to a health check at least."""
AWAIT_LIMIT = 60.0
"""Seconds for a proxy that has started its guard to change the settings."""
PUT_BACK_TRIES = 60
"""Attempts, one a second, at settings that somebody is editing."""
ENDING = (signal.SIGTERM, signal.SIGINT)
Log = Callable[[str], None]

AS_BEFORE = "Claude Code's settings are as they were before"
NOT_AGAIN = (
    "Claude Code is not attached again: another proxy is, or its address was set anew meanwhile"
)


def run(home: Home, pid: int, started: float | None = None) -> None:
    """Watch the proxy until it has ended. A second guard of the same proxy returns at once."""
    lock = FileLock(home.root / f"guard-{pid}.lock", timeout=0, mode=0o600)
    # A signal while the lock is taken would leave the lock file: it is delivered afterwards.
    with _masked(signal.SIG_BLOCK), suppress(Timeout), lock:
        try:
            with _masked(signal.SIG_UNBLOCK):
                settings = AllSettings(home)
                log, states = _logger(home.logs / "guard.log", pid), StateFile(home.state)
                Watch(settings, pid, log, started, states).run()
        finally:
            with suppress(OSError):
                os.unlink(lock.lock_file)


@contextmanager
def _masked(how: int) -> Iterator[None]:
    """Block or unblock the signals that end a guard."""
    before = signal.pthread_sigmask(how, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Watch:
    """One guard's watch over one proxy."""

    def __init__(
        self,
        settings: Attachments,
        pid: int,
        log: Log,
        started: float | None = None,
        states: StateFile | None = None,
    ) -> None:
        """With `started`, its start, the proxy is about to change the settings; `states` tells its certificate."""
        self._states = states
        self._settings, self._pid, self._log = settings, pid, log
        self._started = started
        self._deadline = time.monotonic() + AWAIT_LIMIT
        self._misses = self._failures = 0
        self._half_done = False
        self._last_line = ""

    def run(self) -> None:
        """Watch until the settings are restored, by whomever."""
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
        """Return the next action. A check that raises is repeated, `PUT_BACK_TRIES` times in a row."""
        try:
            action = self._check()
        except Exception as e:
            self._failures += 1
            if self._failures > PUT_BACK_TRIES:
                raise
            self._log_once(f"{type(e).__name__}: {e}")
            return WatchdogAction.WATCH
        self._failures = 0
        return action

    def _check(self) -> WatchdogAction:
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
        """Return whether the proxy answers within the seconds that are left: a slow one is not gone."""
        limit, began = max(ANSWER_LIMIT, seconds), time.monotonic()
        answers = healthy(url, limit, self._state())
        took = time.monotonic() - began
        self._misses = count_misses(self._misses, answers=answers, took=took, limit=limit)
        return answers

    def _state(self) -> ProxyState | None:
        """Return the state of the proxy, read anew: its certificate may change."""
        return self._states.of(self._pid) if self._states else None

    def _act(self, action: WatchdogAction) -> None:
        try:
            if action is WatchdogAction.SILENT or self._half_done:
                self._detach(action)
            elif action is WatchdogAction.BACK:
                done = self._settings.attach_again(self._pid, time.time())
                self._log_once(
                    f"{action.value}, and Claude Code comes to it again" if done else NOT_AGAIN
                )
        except Exception as e:  # no fault of the settings ends the guard
            self._log_once(str(e))

    def _detach(self, action: WatchdogAction) -> None:
        if not self._half_done:
            self._log(action.value)
        self._half_done = True
        if self._settings.detach(self._pid, NO_ANSWER, time.time()):
            self._log_once(AS_BEFORE)
        self._half_done = False

    def _log_once(self, text: str) -> None:
        """Log `text`, unless it is the last line already."""
        if text != self._last_line:
            self._log(text)
        self._last_line = text


def _entry(settings: Attachments, pid: int) -> Entry | None:
    """Return the entry of the proxy. A record that can't be read now may be readable in a second."""
    for _ in range(PUT_BACK_TRIES):
        with suppress(SettingsError):
            return settings.entry(pid)
        time.sleep(EVERY)
    return None


def _put_back(settings: Attachments, pid: int, log: Log) -> None:
    last = ""
    for _ in range(PUT_BACK_TRIES):
        try:
            settings.release(pid)
        except Exception as e:
            if str(e) != last:
                log(last := str(e))
            time.sleep(EVERY)
        else:
            log(AS_BEFORE)
            return
    log("gave up; the next `neurolink proxy start` tries again")


def healthy(url: str, limit: float = ANSWER_LIMIT, state: ProxyState | None = None) -> bool:
    """Return whether the proxy at `url` answers within `limit` seconds; one over TLS by its own address in `state`."""
    if state and state.tls:
        connection = open_connection(state.url, limit, state.tls.fingerprint)
    else:
        connection = open_connection(url, limit)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _logger(path: Path, pid: int) -> Log:
    """Return a log that writes lines to `path`; a fault of the file does not stop the watch."""

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
