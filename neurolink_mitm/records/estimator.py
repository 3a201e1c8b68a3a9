"""Estimates in a process of its own, `python -m`: neither its memory nor its work is the proxy's.

It takes a `Task` as JSON, and prints a line of JSON now and then: how much is done, and at last the result.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.records import what_if
from neurolink_mitm.records.estimate import assumptions, outcome_report
from neurolink_mitm.records.log_files import OnBytes
from neurolink_mitm.records.replay_pool import Setting

MOST_REQUESTS = 100_000
"""Requests that are replayed."""
EVERY = 0.1
"""Seconds from one line to the next; more where a step takes longer."""
READING = 0.6
"""Share of the time that reading takes."""

Result = Mapping[str, Any]
OnShare = Callable[[float], object]
"""Called with how much is done, of 1; what it raises ends the process."""


class FailedError(Exception):
    """The process has failed."""


class Task(msgspec.Struct, frozen=True):
    """The requests from `since` to before `until` (seconds since the epoch) of the logs in a folder."""

    logs: str
    since: float
    until: float
    setting: Setting


class _Line(msgspec.Struct, omit_defaults=True):
    share: float = 0.0
    result: dict[str, Any] | None = None
    error: str | None = None


def estimate_in_process(task: Task, on_share: OnShare) -> Result:
    """Return what `estimate` does. Raises `FailedError`."""
    # -P: the current directory does not say what is imported
    command = [sys.executable, "-P", "-m", "neurolink_mitm.records.estimator"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write(_encoded(task))
            for printed in process.stdout:
                line = msgspec.json.decode(printed, type=_Line)
                if line.error is not None:
                    raise FailedError(line.error)
                if line.result is not None:
                    on_share(1.0)
                    return line.result
                on_share(line.share)
        finally:
            process.kill()
    raise FailedError(f"it has ended with {process.returncode}")


def _encoded(task: Task) -> bytes:
    accounts = [
        replace(each, secret=Secret(""), proxy_url=None, email=None, metadata={})
        for each in task.setting.accounts
    ]
    task = msgspec.structs.replace(task, setting=replace(task.setting, accounts=accounts))
    return msgspec.json.encode(task, enc_hook=lambda secret: "")


def estimate(task: Task, on_share: OnShare) -> Result:
    """Return what the strategies would have done, as JSON values."""

    @contextmanager
    def progress(what: str, total: int) -> Iterator[OnBytes]:
        done = 0
        begin, part = (0.0, READING) if what == "reading" else (READING, 1 - READING)

        def advance(by: int) -> None:
            nonlocal done
            done += by
            on_share(begin + part * done / max(1, total))

        yield advance

    recording = what_if.record(Path(task.logs), task.since, task.until, progress, MOST_REQUESTS)
    outcomes = what_if.compare(recording, task.setting, progress=progress)
    return {
        "since": iso(task.since),
        "until": iso(task.until),
        "requests": len(recording.requests),
        "reports": {name: outcome_report(outcome) for name, outcome in outcomes.items()},
        "assumptions": list(assumptions(recording, task.setting)),
    }


def main() -> None:
    os.nice(5)  # requests come first
    printed_at = time.monotonic()

    def on_share(share: float) -> None:
        nonlocal printed_at
        if time.monotonic() - printed_at >= EVERY:
            _print(_Line(share))
            printed_at = time.monotonic()

    try:
        text = sys.stdin.buffer.read()
        task = msgspec.json.decode(text, type=Task, dec_hook=lambda kind, value: kind(value))
        _print(_Line(1.0, dict(estimate(task, on_share))))
    except BrokenPipeError:  # who waited is gone
        os._exit(1)
    except Exception as e:
        _print(_Line(error=redact(f"{type(e).__name__}: {e}")))


def _print(line: _Line) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
