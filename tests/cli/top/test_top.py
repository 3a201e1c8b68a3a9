"""`neurolink top` on a real terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import httpx
import pexpect
import psutil
import pytest

from tests.cli.conftest import Running
from tests.cli.processes import NEUROLINK, Shell
from tests.cli.ui.test_running import neurolink
from tests.waiting import LIMIT, wait_until

TAKEN, GIVEN_BACK = re.escape("\x1b[?1049h"), re.escape("\x1b[?1049l")


@contextmanager
def top(shell: Shell, program: Sequence[str] = NEUROLINK) -> Iterator[pexpect.spawn[str]]:
    """A live view in a terminal."""
    with pexpect.spawn(
        program[0],
        [*program[1:], "top", "--interval", "0.1"],
        env={**shell.environment, "TERM": "xterm-256color"},  # type: ignore[arg-type]
        cwd=str(shell.home),
        dimensions=(24, 100),
        encoding="utf-8",
        timeout=LIMIT,
    ) as spawned:
        yield spawned


def local_modes(terminal: pexpect.spawn[str]) -> int:
    """Whether it echoes, and whether it reads by lines."""
    flags = termios.tcgetattr(terminal.child_fd)[3]
    return int(flags) & (termios.ECHO | termios.ICANON)


def ended(terminal: pexpect.spawn[str]) -> int | None:
    """Wait for the end, with the terminal as it was; return the exit code."""
    terminal.expect(GIVEN_BACK)
    terminal.expect(pexpect.EOF)
    assert local_modes(terminal) == termios.ECHO | termios.ICANON
    terminal.close()
    return terminal.exitstatus


def paused(running: Running) -> list[str]:
    accounts = httpx.get(f"{running.url}/status").json()["stats"]["accounts"]
    return [each["label"] for each in accounts if each["paused"]]


def test_keys_pause_explain_and_resume(running: Running) -> None:
    pauses = running.shell.home / ".neurolink" / "pauses.json"
    with top(running.shell) as terminal:
        terminal.expect(r">\S*  alpha ")
        assert local_modes(terminal) == 0
        terminal.send("j")
        terminal.expect(r">\S*  beta ")
        terminal.send("p")
        terminal.expect("pause 'beta': 1 for 1 h")
        terminal.send("1")
        terminal.expect(r"paused 'beta' until (?:\w{3} )?\d\d:\d\d \S+ \(in 1h0m\)")
        assert list(json.loads(pauses.read_text())) == ["anthropic:beta"]
        wait_until(lambda: paused(running) == ["beta"], "the proxy follows")
        terminal.expect(r"beta [^\n]*paused")
        terminal.send("e")
        terminal.expect("who serves any model")
        terminal.expect(r"beta [^\n]*paused")
        terminal.send("m")
        terminal.expect("who serves claude-opus-")
        terminal.send("\x1b")
        terminal.expect("pid")
        terminal.send("r")
        terminal.expect("resumed 'beta'")
        wait_until(lambda: paused(running) == [], "the proxy follows")
        terminal.send("xy")
        terminal.expect("reset 'beta': it is asked again")
        terminal.send("q")
        assert ended(terminal) == 0


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(running: Running) -> None:
    """Only a shell with job control can have it stopped."""
    script = 'set -m; "$@"; echo stopped; read line; fg; echo ended with $?'
    with top(running.shell, program=("/bin/sh", "-c", script, "sh", *NEUROLINK)) as terminal:
        terminal.expect(r">\S*  alpha ")
        terminal.send("\x1a")
        terminal.expect(GIVEN_BACK)
        terminal.expect("stopped")
        assert local_modes(terminal) == termios.ECHO | termios.ICANON
        terminal.send("\r")
        terminal.expect(TAKEN)
        terminal.expect(r">\S*  alpha ")
        assert local_modes(terminal) == 0
        terminal.setwinsize(12, 40)
        terminal.expect(r"p pause  r resume  x reset  \? help  q")
        terminal.send("q")
        terminal.expect(GIVEN_BACK)
        terminal.expect("ended with 0")


def test_sigterm_ends_it(shell: Shell) -> None:
    with top(shell) as terminal:
        terminal.expect("the proxy is not running")
        psutil.Process(terminal.pid).send_signal(signal.SIGTERM)
        assert ended(terminal) == 128 + signal.SIGTERM


def test_what_was_begun_is_done_before_it_ends(running: Running) -> None:
    with top(running.shell) as terminal:
        terminal.expect(r">\S*  alpha ")
        terminal.send("puq")
        terminal.expect(GIVEN_BACK)
        terminal.expect("paused 'alpha' until it is resumed")
        terminal.expect(pexpect.EOF)
    assert running.shell.run("auth", "resume", "alpha").process.returncode == 0


def test_ctrl_c_ends_it_while_nothing_runs(shell: Shell) -> None:
    with top(shell) as terminal:
        terminal.expect("the proxy is not running")
        terminal.send("p")
        terminal.expect("no account is shown")
        terminal.sendintr()
        assert ended(terminal) == 130


def test_a_terminal_that_nobody_reads_does_not_keep_it(shell: Shell) -> None:
    with top(shell) as terminal:
        terminal.expect("the proxy is not running")
        os.set_blocking(terminal.child_fd, False)
        process = psutil.Process(terminal.pid)
        terminal.send("?p" * 500)  # screens that nobody takes
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, "it ends")


def test_without_a_terminal_it_names_what_works_there() -> None:
    result = neurolink("top")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "neurolink proxy status --watch" in result.stderr


@pytest.mark.parametrize("terminal", ["dumb", ""])
def test_a_terminal_that_can_not_be_drawn_on(shell: Shell, terminal: str) -> None:
    program, *words = NEUROLINK
    variables = {**shell.environment, "TERM": terminal}
    text, code = pexpect.run(
        " ".join((program, *words, "top")),
        env=variables, cwd=str(shell.home), withexitstatus=True, timeout=LIMIT,
    )  # fmt: skip
    assert code == 2
    assert b"proxy status --watch" in text
