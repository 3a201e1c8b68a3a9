"""Call stacks, of a frame and of what `faulthandler` writes."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from neurolink_mitm.adapters.call_stacks import (
    FRAMES,
    StackDump,
    call_stack,
    read_stack,
    short_path,
)
from tests.waiting import LIMIT

WRITTEN = """Stack (most recent call first):
  File "/usr/lib/python3.{minor}/threading.py", line 363 in wait
Stack (most recent call first):
  File "/usr/lib/python3.{minor}/re/__init__.py", line 177 in search
  File "/home/ada/venv/site-packages/neurolink_mitm/core/request/history.py", line 88 in cut
"""


def test_the_last_stack_of_what_was_written() -> None:
    text = WRITTEN.format(minor=sys.version_info[1])
    assert read_stack(text) == (
        "re/__init__.py:177 search",
        "neurolink_mitm/core/request/history.py:88 cut",
    )
    assert read_stack("") == ()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/ada/x/neurolink_mitm/core/pool/pool.py", "neurolink_mitm/core/pool/pool.py"),
        ("/home/ada/venv/lib/site-packages/mitmproxy/http.py", "mitmproxy/http.py"),
        ("/home/ada/plugins/secret.py", "secret.py"),
    ],
    ids=["ours", "library", "elsewhere"],
)
def test_paths_say_nothing_of_this_machine(path: str, shown: str) -> None:
    assert short_path(path) == shown


def test_a_stack_is_bounded() -> None:
    def deeper(left: int) -> tuple[str, ...]:
        return deeper(left - 1) if left else call_stack(sys._getframe())

    found = deeper(50)
    assert len(found) == FRAMES
    assert found[0].startswith("test_call_stacks.py:")


def written_at_work(dump: StackDump) -> str:
    """Use the CPU until something is written: in a call that keeps the interpreter, as a stall does.

    While Python itself runs, frames change, and the signal may find one that is half made.
    """
    deadline = time.monotonic() + LIMIT
    while not (found := dump.read()):
        sum(range(3_000_000))
        assert time.monotonic() < deadline
    return "\n".join(found)


def test_what_is_not_restarted_in_time_is_written_and_dropped(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "stalls.log"
    dump = StackDump(path)
    dump.open()
    try:
        dump.restart(0.05)
        assert "test_what_is_not_restarted_in_time_is_written_and_dropped" in written_at_work(dump)
        dump.restart(60)
        assert path.stat().st_size == 0
        dump.restart(0.05)
        written_at_work(dump)
        dump.keep()
        dump.restart(60)
        assert path.stat().st_size > 0
    finally:
        dump.close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_nothing_was_written_to_goes_again(tmp_path: Path) -> None:
    dump = StackDump(tmp_path / "stalls.log")
    dump.open()
    dump.restart(60)
    dump.close()
    assert list(tmp_path.iterdir()) == []


def test_only_the_thread_that_uses_the_cpu_is_written(tmp_path: Path) -> None:
    """Frames of a thread that runs on meanwhile can't be read."""
    path = tmp_path / "stalls.log"
    dump = StackDump(path)
    dump.open()
    try:
        dump.restart(0.05)
        written_at_work(dump)
        assert path.read_text().count("(most recent call first)") == 1
        assert "Thread 0x" not in path.read_text()
    finally:
        dump.close()


def test_a_stopped_timer_writes_nothing_and_ends_nothing(tmp_path: Path) -> None:
    dump = StackDump(tmp_path / "stalls.log")
    dump.open()
    dump.restart(0.02)
    dump.close()
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


@pytest.mark.parametrize(
    "path", [None, Path("/proc/nowhere/stalls.log")], ids=["none", "unwritable"]
)
def test_without_a_file_nothing_is_written(path: Path | None) -> None:
    dump = StackDump(path)
    dump.open()
    dump.restart(0.01)
    assert dump.read() == ()
    dump.keep()
    dump.close()
