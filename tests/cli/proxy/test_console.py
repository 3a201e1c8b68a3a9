"""`neurolink proxy start` on outputs that take nothing: requests are answered, and the end comes."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.adapters.state_file import StateFile
from tests.cli.processes import MESSAGE, NEUROLINK, Shell
from tests.waiting import LIMIT, wait_until

REQUESTS = 60
SMALL = 4096
"""Bytes of a pipe in which their lines have no room."""


def fill(output: int) -> None:
    os.set_blocking(output, False)
    with suppress(BlockingIOError):
        while True:
            os.write(output, b"." * 1024)
    os.set_blocking(output, True)


@contextmanager
def unread_pipe(place: Path) -> Iterator[int]:
    reading, writing = os.pipe()
    fill(writing)
    yield writing
    os.close(reading)


@contextmanager
def stopped_terminal(place: Path) -> Iterator[int]:
    """As after Ctrl-S, or with a terminal emulator that hangs."""
    reading, writing = os.openpty()
    fill(writing)
    yield writing
    os.close(reading)


def small_reader(out: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Return a program that copies a small pipe to `out`, and the pipe's other end."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL)
    with out.open("wb") as file:
        reader = subprocess.Popen(["cat"], stdin=reading, stdout=file)
    os.close(reading)
    return reader, writing


@contextmanager
def stopped_reader(place: Path) -> Iterator[int]:
    """As in `neurolink proxy start |& tee out`, with Ctrl-Z for `tee`."""
    reader, writing = small_reader(place / "out")
    reader.send_signal(signal.SIGSTOP)
    yield writing
    reader.kill()
    reader.wait(LIMIT)


@contextmanager
def full_disk(place: Path) -> Iterator[int]:
    yield os.open("/dev/full", os.O_WRONLY)


@contextmanager
def serving(
    shell: Shell, output: int, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Yield a proxy that writes all to `output`, which is closed here, and its URL."""
    command = [*NEUROLINK, "proxy", "start", "--sandbox", "--port", "0", *arguments]
    place = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
    with subprocess.Popen(command, **place, env=shell.environment, cwd=shell.home) as proxy:  # type: ignore[call-overload]
        os.close(output)
        try:
            state = StateFile(shell.state)
            wait_until(lambda: state.read() or proxy.poll() is not None, "it serves")
            served = state.read()
            assert served, f"it ended with {proxy.poll()}"
            yield proxy, served.url
        finally:
            proxy.kill()


def ask(url: str) -> None:
    """Each answer comes whole, by whichever account of the sandbox."""
    with httpx.Client(timeout=LIMIT) as client:
        for _ in range(REQUESTS):
            answer = client.post(f"{url}/v1/messages", json=MESSAGE)
            assert answer.status_code == 200
            assert "message_stop" in answer.text


def end(proxy: subprocess.Popen[bytes]) -> None:
    proxy.terminate()
    assert proxy.wait(LIMIT) == 0


@pytest.mark.parametrize("output", [unread_pipe, stopped_terminal, stopped_reader, full_disk])
def test_neither_requests_nor_the_end_wait_for_it(
    shell: Shell, tmp_path: Path, output: Callable[[Path], AbstractContextManager[int]]
) -> None:
    with output(tmp_path) as descriptor, serving(shell, descriptor) as (proxy, url):
        ask(url)
        end(proxy)


def test_nor_do_they_with_a_page(shell: Shell, tmp_path: Path) -> None:
    with unread_pipe(tmp_path) as output, serving(shell, output, "--inspect") as (proxy, url):
        ask(url)
        end(proxy)


@pytest.mark.parametrize("way", [(), ("--inspect",)], ids=["start", "inspect"])
def test_a_reader_that_goes_on_gets_every_line(
    shell: Shell, tmp_path: Path, way: tuple[str, ...]
) -> None:
    reader, output = small_reader(tmp_path / "out")
    reader.send_signal(signal.SIGSTOP)
    with serving(shell, output, *way) as (proxy, url):
        ask(url)
        assert (tmp_path / "out").read_bytes() == b""
        reader.send_signal(signal.SIGCONT)
        end(proxy)
    assert reader.wait(LIMIT) == 0
    said = (tmp_path / "out").read_text()
    assert "\nNeuroLink " in f"\n{said}", "the greeting, which may come behind a first request"
    assert "missing" not in said
    steps = re.findall(r"\[proxy\] (POST|<- 200)", said)
    assert steps == ["POST", "<- 200"] * REQUESTS
