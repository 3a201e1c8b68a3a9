"""Starts a process, waits until it is ready, and ends it with all its children."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parent.parent
_READY_SECONDS = 20.0
_STOP_SECONDS = 8.0
_POLL_SECONDS = 0.05

# Variables that could lead a process to other hosts, or to the user's own accounts and settings.
_FOREIGN_PREFIXES = ("ANTHROPIC_", "CLAUDE_", "NEUROLINK_", "OTEL_")
_FOREIGN_SUFFIXES = ("_API_KEY", "_PROXY")
_MARK = "BENCH_HOME"


class StartError(Exception):
    """A process did not start; the message is one line with the reason."""


@contextmanager
def child(
    name: str,
    command: Sequence[str],
    home: Path,
    ready: Callable[[], bool],
    settings: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    root: Path = ROOT,
) -> Iterator[int]:
    """Yield the pid once the process is ready; at the end stop it and its children.

    `root` is its working directory, where `python -m` finds modules.
    """
    process = None
    try:
        process = _start(command, home, settings or {}, stdin, root)
        _wait_until(ready, name, process, home)
        yield process.pid
    except StartError:
        raise
    except Exception as error:
        if words := _last_words(home):
            error.add_note(f"{name} said last: {words}")
        raise
    finally:
        _stop({*_marked(home), *_family(process)})
        if process is not None:
            _reap(process)


def _start(
    command: Sequence[str], home: Path, settings: Mapping[str, str], stdin: int, root: Path
) -> subprocess.Popen[bytes]:
    with _log(home).open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=root,
            env={**_environment(), **settings, _MARK: str(home)},
            stdin=stdin,
            stdout=log,
            stderr=log,
            # Ctrl-C goes to this process alone, which then stops its children in order
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_FOREIGN_PREFIXES)
        and not name.upper().endswith(_FOREIGN_SUFFIXES)
    }


def _wait_until(
    ready: Callable[[], bool], name: str, process: subprocess.Popen[bytes], home: Path
) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not ready():
        late = time.monotonic() > deadline
        if late or process.poll() is not None:
            how = f"not ready after {_READY_SECONDS:.0f} s" if late else "it ended"
            words = _last_words(home) or "no output"
            raise StartError(f"{name} did not start: {how}: {words}")
        time.sleep(_POLL_SECONDS)


def _stop(processes: set[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(processes, _STOP_SECONDS)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, _STOP_SECONDS)


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.wait(_STOP_SECONDS)
    if process.stdin:
        process.stdin.close()


def _family(process: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        if process and process.poll() is None:
            head = psutil.Process(process.pid)
            return [head, *head.children(recursive=True)]
    return []


def _marked(home: Path) -> list[psutil.Process]:
    """Return the processes with this home, also detached ones (a guard)."""
    processes = []
    for process in psutil.process_iter():
        # Other users' processes, and macOS's own programs, don't show their environment.
        with suppress(psutil.Error, OSError):
            if process.environ().get(_MARK) == str(home):
                processes.append(process)
    return processes


def _log(home: Path) -> Path:
    return home / "output.log"


def _last_words(home: Path) -> str:
    """Return the last line of the output; empty if there is none."""
    with suppress(OSError):
        lines = _log(home).read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""
