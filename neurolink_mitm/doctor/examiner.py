"""The doctor in a process of its own, `python -m`: what it imports and reads is not left in the proxy's memory.

It takes a `Task` as JSON, and prints a `Result` as JSON.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.redact.text import redact
from neurolink_mitm.doctor.checks import ProbeContext
from neurolink_mitm.doctor.examination import contents, examine
from neurolink_mitm.doctor.probes import measure_clock_skew

LIMIT = 60.0
"""Seconds; the slow probes have a limit of their own."""


class FailedError(Exception):
    """The process has failed."""


class Task(msgspec.Struct, frozen=True):
    """What is examined: the proxy on `port` whose report `status` is. With `bundle`, the bundle's files are made."""

    home: str
    config: str | None
    env_file: str | None
    port: int
    now: float
    status: Mapping[str, Any] | None
    bundle: bool = False


class Result(msgspec.Struct, omit_defaults=True):
    """The doctor's report, and the texts of the bundle's files by name."""

    report: dict[str, Any] = {}
    files: dict[str, str] = {}
    error: str | None = None


def examine_in_process(task: Task, environ: Mapping[str, str]) -> Result:
    """Return what the doctor finds with the environment `environ`. Raises `FailedError`."""
    # -P: the current directory does not say what is imported
    command = [sys.executable, "-P", "-m", "neurolink_mitm.doctor.examiner"]
    try:
        done = subprocess.run(
            command,
            input=msgspec.json.encode(task),
            env=dict(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LIMIT,
            check=True,
        )
        result = msgspec.json.decode(done.stdout, type=Result)
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as e:
        raise FailedError(f"the doctor's process has failed: {e}") from e
    if result.error is not None:
        raise FailedError(result.error)
    return result


def result_of(task: Task, environ: Mapping[str, str]) -> Result:
    """Return what the doctor finds."""
    context = ProbeContext(
        environ=environ,
        home=Home(Path(task.home)),
        now=task.now,
        ask=lambda state: task.status,
        config=Path(task.config) if task.config else None,
        env_file=Path(task.env_file) if task.env_file else None,
        port=task.port,
        skew=measure_clock_skew,
    )
    report = examine(context)
    return Result(report, contents(context, task.status, report) if task.bundle else {})


def main() -> None:
    os.nice(5)  # requests come first
    try:
        task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
        result = result_of(task, os.environ)
    except Exception as e:
        result = Result(error=redact(f"{type(e).__name__}: {e}"))
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
