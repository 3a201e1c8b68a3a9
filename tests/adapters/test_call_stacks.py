"""Call stacks, of a frame and of what `faulthandler` writes."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from neurolink_mitm.adapters.call_stacks import (
    FRAMES,
    StackDump,
    call_stack,
    read_thread,
    short_path,
)
from tests.waiting import wait_until

WRITTEN = """Timeout (0:00:00.550000)!
Thread 0x00000000000000aa{name} (most recent call first):
  File "/usr/lib/python3.{minor}/threading.py", line 363 in wait

Thread 0x00000000000000bb{name} (most recent call first):
  File "/usr/lib/python3.{minor}/re/__init__.py", line 177 in search
  File "/home/ada/venv/site-packages/neurolink_mitm/core/request/history.py", line 88 in cut
"""


@pytest.mark.parametrize("name", ["", " [MainThread]"], ids=["before-3.14", "since-3.14"])
def test_a_thread_of_what_was_written(name: str) -> None:
    text = WRITTEN.format(name=name, minor=sys.version_info[1])
    assert read_thread(text, 0xBB) == (
        "re/__init__.py:177 search",
        "neurolink_mitm/core/request/history.py:88 cut",
    )
    assert read_thread(text, 0xCC) == ()


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


def test_what_is_not_wound_up_in_time_is_written_and_dropped(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "stalls.log"
    dump = StackDump(path)
    dump.open()
    try:
        dump.restart(0.05)
        wait_until(lambda: dump.read(threading.get_ident()), "it is written")
        dump.restart(60)
        assert path.stat().st_size == 0
        dump.restart(0.05)
        wait_until(lambda: dump.read(threading.get_ident()), "it is written")
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


@pytest.mark.parametrize(
    "path", [None, Path("/proc/nowhere/stalls.log")], ids=["none", "unwritable"]
)
def test_without_a_file_nothing_is_written(path: Path | None) -> None:
    dump = StackDump(path)
    dump.open()
    dump.restart(0.01)
    assert dump.read(threading.get_ident()) == ()
    dump.keep()
    dump.close()
