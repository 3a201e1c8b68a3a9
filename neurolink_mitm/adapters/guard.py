"""The guard: a small process that puts Claude Code's settings back where its proxy died without doing so.

    python -m neurolink_mitm.adapters.guard NEUROLINK_HOME PID

It outlives the proxy, and the terminal. It imports little, since it runs all the time.
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

from neurolink_mitm.adapters.claude_settings import ClaudeSettings, Entry, SettingsError
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.guarding import Verdict, judge

EVERY = 1.0
"""Seconds between two looks."""
ANSWER_LIMIT = 0.9
PUT_BACK_TRIES = 60
"""Seconds in which whoever is editing the settings can finish."""
ENDING = (signal.SIGTERM, signal.SIGINT)


def run(home: Home, pid: int) -> None:
    """Watch the proxy until it has ended, one way or another. A second guard of one proxy leaves at once."""
    lock = FileLock(home.root / f"guard-{pid}.lock", timeout=0, mode=0o600)
    # Told to end while the lock is being taken, it would leave the file: that is told afterwards.
    with _masked(signal.SIG_BLOCK), suppress(Timeout), lock:
        try:
            with _masked(signal.SIG_UNBLOCK):
                _watch(
                    ClaudeSettings(home.claude_settings), pid, _logger(home.logs / "guard.log", pid)
                )
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


def _watch(settings: ClaudeSettings, pid: int, log: Callable[[str], None]) -> None:
    log("watches it")
    misses, due = 0, time.monotonic()
    while True:
        entry = _entry(settings, pid)
        answers = entry is not None and healthy(entry.url)
        misses = 0 if answers else misses + 1
        alive = entry is not None and entry.alive
        verdict = judge(recorded=entry is not None, alive=alive, answers=answers, misses=misses)
        if verdict is not Verdict.WATCH:
            break
        due = max(due + EVERY, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    log(verdict.value)
    if verdict in (Verdict.DEAD, Verdict.SILENT):
        _put_back(settings, pid, log)


def _entry(settings: ClaudeSettings, pid: int) -> Entry | None:
    """What is to be put back. One that can't be read now may be readable in a second."""
    for _ in range(PUT_BACK_TRIES):
        with suppress(SettingsError):
            return settings.entry(pid)
        time.sleep(EVERY)
    return None


def _put_back(settings: ClaudeSettings, pid: int, log: Callable[[str], None]) -> None:
    told = ""
    for _ in range(PUT_BACK_TRIES):
        try:
            settings.release(pid)
        except SettingsError as e:
            if str(e) != told:
                log(told := str(e))
            time.sleep(EVERY)
        else:
            log("Claude Code's settings are as they were before")
            return
    log("gave up; the next `neurolink proxy start` tries again")


def healthy(url: str) -> bool:
    """Whether a proxy answers there."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_LIMIT)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _logger(path: Path, pid: int) -> Callable[[str], None]:
    """Lines into a file; that it can't be written is no reason to stop watching."""

    def log(text: str) -> None:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(f"{moment} guard {os.getpid()} of proxy {pid}: {text}\n")

    return log


def main(root: str, pid: str) -> None:
    for number in ENDING:
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run(Home(Path(root)), int(pid))


if __name__ == "__main__":
    main(*sys.argv[1:])
