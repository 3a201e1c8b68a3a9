from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

import pytest

from neurolink_mitm.adapters.console import Console, LogHandler, Output
from tests.waiting import LIMIT, wait_until

GAP = r"\d\d:\d\d:\d\d UTC (\d+) lines are missing here: the console took none"


class Pipe:
    """A pipe with room for nothing, until it is read."""

    def __init__(self) -> None:
        self.descriptor, writing = os.pipe()
        self.file = os.fdopen(writing, "w", encoding="utf-8")
        os.set_blocking(self.descriptor, False)
        self._filling = self._fill()

    def _fill(self) -> int:
        os.set_blocking(self.file.fileno(), False)
        size = 0
        with suppress(BlockingIOError):
            while True:
                size += os.write(self.file.fileno(), b"." * 4096)
        os.set_blocking(self.file.fileno(), True)
        return size

    def read(self, writer: threading.Thread | subprocess.Popen[str]) -> str:
        """Return what comes until `writer` has ended, without the filling."""
        read, ended = b"", False
        while not ended:
            ended = (
                not writer.is_alive()
                if isinstance(writer, threading.Thread)
                else writer.poll() is not None
            )
            with suppress(BlockingIOError):
                while data := os.read(self.descriptor, 65536):
                    read += data
            time.sleep(0.001)
        return read[self._filling :].decode()

    def close(self) -> None:
        os.close(self.descriptor)
        self.file.close()


@pytest.fixture
def full() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TextIOWrapper]:
    with (tmp_path / "out").open("w+", encoding="utf-8") as file:
        yield file


@pytest.fixture
def console() -> Iterator[Console]:
    console = Console(backlog=10)
    yield console
    console.close()


def closing(console: Console) -> threading.Thread:
    thread = threading.Thread(target=console.close, args=(LIMIT,), daemon=True)
    thread.start()
    return thread


def numbers(text: str) -> list[int]:
    return [int(line) for line in text.splitlines()]


# --- what is written


def test_lines_of_two_outputs_keep_their_order(file: TextIOWrapper) -> None:
    console = Console()
    out, err = Output(console, file), Output(console, file)
    for number in range(0, 1000, 2):
        out.put(f"{number}\n")
        err.put(f"{number + 1}\n")
    assert console.close()
    assert numbers(Path(file.name).read_text()) == list(range(1000))


def test_lines_of_many_threads_are_whole_and_in_the_order_of_each(file: TextIOWrapper) -> None:
    console = Console()
    output = Output(console, file)

    def write(name: str) -> None:
        for number in range(200):
            print(name, number, file=output)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert console.close()
    lines = [line.split() for line in Path(file.name).read_text().splitlines()]
    for name in "abcd":
        assert [int(number) for by, number in lines if by == name] == list(range(200))


def test_a_line_is_written_while_the_process_goes_on(console: Console, file: TextIOWrapper) -> None:
    Output(console, file).put("a line\n")
    wait_until(lambda: Path(file.name).read_text() == "a line\n", "it is written")


def test_what_does_not_end_a_line_is_written_when_it_is_flushed(file: TextIOWrapper) -> None:
    console = Console()
    output = Output(console, file)
    output.write("a")
    output.write("b\nc")
    output.flush()
    output.flush()
    output.write("d")
    assert console.close()
    assert Path(file.name).read_text() == "ab\nc"


def test_an_output_is_taken_for_the_one_it_stands_for(
    console: Console, file: TextIOWrapper
) -> None:
    output = Output(console, file)
    assert (output.isatty(), output.fileno(), output.encoding, output.writable()) == (
        False,
        file.fileno(),
        "utf-8",
        True,
    )


def test_what_the_output_can_not_encode_is_escaped(tmp_path: Path) -> None:
    console = Console()
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        Output(console, file).put("naïve \udc80\n")
        assert console.close()
    assert (tmp_path / "out").read_text() == "na\\xefve \\udc80\n"


# --- an output that takes nothing


def test_nobody_waits_for_a_pipe_that_is_not_read(console: Console, full: Pipe) -> None:
    """Some lines are at the thread, ten wait, the rest is counted in its place: then it goes on."""
    output = Output(console, full.file)
    for number in range(1000):
        output.put(f"{number}\n")
    assert not console.close(0)
    late = threading.Thread(target=console._thread.join, args=(LIMIT,), daemon=True)
    late.start()
    *written, gap = full.read(late).splitlines()
    assert numbers("\n".join(written)) == list(range(len(written)))
    assert 10 <= len(written) <= 30
    found = re.fullmatch(GAP, gap)
    assert found, gap
    assert int(found[1]) + len(written) == 1000


def test_after_a_gap_lines_are_written_again(console: Console, full: Pipe) -> None:
    output = Output(console, full.file)
    for number in range(100):
        output.put(f"{number}\n")
    wait_until(lambda: len(console._texts) == 10, "the queue is full")
    reading = threading.Event()
    texts: list[str] = []

    def read() -> None:
        reading.set()
        texts.append(full.read(console._thread))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    wait_until(lambda: len(console._texts) == 0, "it is read")
    output.put("again\n")
    assert console.close(LIMIT)
    reader.join(LIMIT)
    lines = texts[0].splitlines()
    assert [line for line in lines if re.fullmatch(GAP, line)] == [lines[-2]]
    assert lines[-1] == "again"


def test_the_end_waits_no_longer_than_it_may(console: Console, full: Pipe) -> None:
    Output(console, full.file).put("a line\n")
    began = time.monotonic()
    assert not console.close(0.1)
    assert time.monotonic() - began < LIMIT / 2


def test_a_non_blocking_output_is_waited_for(console: Console, full: Pipe) -> None:
    """Programs that share a terminal leave it so."""
    os.set_blocking(full.file.fileno(), False)
    text = "".join(f"{number}\n" for number in range(50_000))
    Output(console, full.file).put(text)
    assert full.read(closing(console)) == text


def test_a_full_disk_is_told_when_it_has_room(console: Console, file: TextIOWrapper) -> None:
    disk = os.dup(file.fileno())
    with Path("/dev/full").open("w") as broken:
        os.dup2(broken.fileno(), file.fileno())
    output = Output(console, file)
    for line in ("1\n", "2\n3\n", "4\n"):
        output.put(line)
        wait_until(lambda line=line: len(console._texts) == 0, "it is taken")  # type: ignore[misc]
    wait_until(lambda: output._lost == 4, "all are lost")
    os.dup2(disk, file.fileno())
    os.close(disk)
    output.put("5\n")
    assert console.close()
    gap, line = Path(file.name).read_text().splitlines()
    found = re.fullmatch(GAP, gap)
    assert found
    assert (found[1], line) == ("4", "5")


def test_an_output_that_was_closed_is_borne(full: Pipe) -> None:
    """`neurolink proxy start | head`"""
    console = Console()
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as file:
        Output(console, file).put("a line\n")
        assert console.close()


# --- the log


def test_a_record_is_a_line_with_its_time(file: TextIOWrapper) -> None:
    console = Console()
    handler = LogHandler(Output(console, file))
    for at in (0.0, 0.9, 61.5):
        record = logging.makeLogRecord({"msg": "%d files", "args": (3,), "created": at})
        handler.handle(record)
    assert console.close()
    assert Path(file.name).read_text() == (
        "00:00:00 UTC 3 files\n00:00:00 UTC 3 files\n00:01:01 UTC 3 files\n"
    )


def test_an_exception_comes_with_its_traceback(file: TextIOWrapper) -> None:
    console = Console()
    logger = logging.Logger("test")
    logger.addHandler(LogHandler(Output(console, file)))
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it fails")
    assert console.close()
    first, *_, last = Path(file.name).read_text().splitlines()
    assert (first.endswith(" UTC it fails"), last) == (True, "ValueError: broken")


def test_a_line_said_is_like_one_logged(file: TextIOWrapper) -> None:
    console = Console()
    LogHandler(Output(console, file)).say("100 %s")
    assert console.close()
    assert re.fullmatch(r"\d\d:\d\d:\d\d UTC 100 %s\n", Path(file.name).read_text())


# --- a process whose outputs it has taken over

TAKEN = """
import logging, os, signal, sys, threading, time
from neurolink_mitm.adapters.console import take_over
logging.basicConfig(handlers=[take_over() or logging.NullHandler()])
"""


def start(code: str, stderr: int, before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", before + TAKEN + code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)


def run(code: str) -> tuple[int, str, str]:
    with start(code, subprocess.PIPE) as process:
        out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def test_all_is_written_when_it_ends() -> None:
    code = (
        "print('out', end='')\nfor n in range(3000): logging.warning('%d', n)\nsys.exit('the end')"
    )
    ended, out, err = run(code)
    *lines, last = err.splitlines()
    assert (ended, out, last) == (1, "out", "the end")
    assert [int(line.split()[-1]) for line in lines] == list(range(3000))


def test_a_crash_has_its_traceback_behind_the_lines() -> None:
    ended, _, err = run("logging.error('a line')\nraise ValueError('broken')")
    first, *traceback = err.splitlines()
    assert (ended, first.split()[-2:]) == (1, ["a", "line"])
    assert (traceback[0], traceback[-1]) == (
        "Traceback (most recent call last):",
        "ValueError: broken",
    )


def test_a_thread_that_crashes_is_told() -> None:
    ended, _, err = run("t = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()")
    assert (ended, err.splitlines()[-1]) == (0, "ZeroDivisionError: division by zero")


def test_what_is_said_after_the_end_is_written_at_once() -> None:
    late = "import atexit, sys\natexit.register(lambda: print('late', file=sys.stderr))\n"
    with start("logging.warning('early')", subprocess.PIPE, before=late) as process:
        _, err = process.communicate(timeout=LIMIT)
    assert [line.split()[-1] for line in err.splitlines()] == ["early", "late"]


@pytest.mark.parametrize("end", ["pass", "1 / 0", "os.kill(os.getpid(), 2)"])
def test_a_terminal_that_is_blocked_does_not_hold_the_end(full: Pipe, end: str) -> None:
    code = f"for n in range(10_000): logging.warning('%d', n)\nprint('up', file=sys.stderr)\n{end}"
    with start(code, full.file.fileno()) as process:
        assert process.wait(LIMIT) in (0, 1, 130, -signal.SIGINT)


def test_a_child_writes_its_own_lines_only() -> None:
    code = """
logging.warning('before')
child = os.fork()
logging.warning('child' if child == 0 else 'parent')
if child: os.waitpid(child, 0)
"""
    with start(
        "import warnings; warnings.simplefilter('ignore')" + code, subprocess.PIPE
    ) as process:
        _, err = process.communicate(timeout=LIMIT)
    assert sorted(line.split()[-1] for line in err.splitlines()) == ["before", "child", "parent"]


def test_a_closed_stderr_is_none() -> None:
    code = "print(sys.stderr, logging.getLogger().handlers)"
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, TAKEN + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
    assert "None [<NullHandler" in done.stdout
