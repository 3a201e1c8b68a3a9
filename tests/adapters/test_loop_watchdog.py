"""The watchdog on a real loop, which really stands still."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from neurolink_mitm.adapters.loop_watchdog import LoopWatchdog
from neurolink_mitm.core.status.event_loop import Lag, Stall
from tests.stalls import EVERY
from tests.test_stalls import spin
from tests.waiting import LIMIT, wait_until

SECRET = "sk-ant-test-secret"


def search(text: str = SECRET) -> None:
    """Keep the interpreter's lock in one call of C, for longer than the watchdog bears."""
    end = time.thread_time() + 0.3
    while time.thread_time() < end:
        re.search(r"(a+)+$", "a" * 20 + text)


async def watched(
    act: Callable[[], object], stall: float = 0.1, histogram: Callable[[float], object] = abs
) -> tuple[Lag, list[Stall]]:
    """What is seen of a loop that does that."""
    lag, seen = Lag(histogram=histogram), list[Stall]()
    dog = LoopWatchdog(lag, every=EVERY, stall=stall, on_stall=seen.append)
    dog.start()
    await asyncio.sleep(3 * EVERY)
    act()
    await asyncio.sleep(3 * EVERY)
    dog.stop()
    return lag, seen


@pytest.mark.parametrize(
    ("act", "place"),
    [
        (lambda: spin(0.3), "test_stalls.py:"),
        (lambda: time.sleep(0.3), "test_loop_watchdog.py:"),
        (search, "re/__init__.py:"),
    ],
    ids=["computes", "sleeps", "holds-the-lock"],
)
async def test_where_the_loop_stood(act: Callable[[], object], place: str) -> None:
    lag, seen = await watched(act)
    assert lag.stalls == len(seen) >= 1
    assert seen[0].stack[0].startswith(place)


async def test_it_is_told_in_a_line_without_values(caplog: pytest.LogCaptureFixture) -> None:
    await watched(search)
    [line] = [each.getMessage() for each in caplog.records if "stood still" in each.getMessage()]
    assert "test_loop_watchdog.py:" in line
    assert " search" in line
    assert SECRET not in line
    assert str(Path.cwd()) not in line


async def test_a_loop_that_stands_often_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    lag = Lag()
    dog = LoopWatchdog(lag, every=EVERY, stall=0.1)
    dog.start()
    for _ in range(3):
        await asyncio.sleep(3 * EVERY)
        spin(0.2)
    await asyncio.sleep(3 * EVERY)
    dog.stop()
    assert lag.stalls >= 3
    assert sum("stood still" in each.getMessage() for each in caplog.records) == 1


async def test_a_loop_with_little_to_do_never_stands() -> None:
    observed: list[float] = []
    lag, seen = await watched(lambda: None, 5.0, observed.append)
    assert (lag.stalls, seen) == (0, [])
    assert len(observed) >= 2


HANGS = """
import asyncio, re, sys
from pathlib import Path
from neurolink_mitm.adapters import loop_watchdog
from neurolink_mitm.core.status.event_loop import Lag

async def main():
    loop_watchdog.LoopWatchdog(Lag(), Path(sys.argv[1]), every=0.01).start()
    print("ready", flush=True)
    await asyncio.sleep(0.2)
    if sys.argv[2] == "hang":
        re.search(r"(a+)+$", "a" * 60 + "b")
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "stalls.log"


def hanging(dump: Path, how: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HANGS, dump, how], stdout=subprocess.PIPE, text=True
    )


def test_a_search_that_never_returns_is_written_down(dump: Path) -> None:
    """While it holds the interpreter's lock: no thread of Python's could."""
    with hanging(dump, "hang") as process:
        wait_until(lambda: dump.exists() and " in search" in dump.read_text(), "it is seen", LIMIT)
        process.kill()
    assert dump.stat().st_mode & 0o077 == 0


def test_stopped_is_no_stall() -> None:
    """SIGSTOP, as a machine that sleeps."""
    code = """
import asyncio, sys
from neurolink_mitm.adapters.loop_watchdog import LoopWatchdog
from neurolink_mitm.core.status.event_loop import Lag

async def main():
    lag = Lag()
    LoopWatchdog(lag, every=0.02).start()
    print("ready", flush=True)
    while not lag.pauses:
        await asyncio.sleep(0.02)
    print(lag.stalls, lag.last_pause.seconds >= 1.2, flush=True)

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.3)  # the pause itself
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "0 True\n"
