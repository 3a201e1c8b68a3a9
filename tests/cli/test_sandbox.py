"""`neurolink sandbox`, and what it says, done as it is said: lines pasted into a shell."""

from __future__ import annotations

import html
import re
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pexpect
import pytest

from tests import claude_cli as claude_code
from tests.cli.processes import MESSAGE, Program, Shell
from tests.waiting import LIMIT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_serves(shell: Shell, number: int) -> None:
    sandbox = shell.start("sandbox")
    url = sandbox.expect(r"http://127\.0\.0\.1:\d+")[0]
    key = re.search(r"x-api-key: (\S+)'", httpx.get(url).text)
    assert key
    headers = {"x-api-key": key[1], "anthropic-version": "2023-06-01"}
    answer = httpx.post(f"{url}/v1/messages", json=MESSAGE, headers=headers)
    assert (answer.status_code, b"message_stop" in answer.content) == (200, True)
    sandbox.signal(number)
    assert (sandbox.exit_code(), sandbox.complained) == (0, "")
    assert sandbox.said.splitlines()[0] == url
    sandbox.stdout.write_text("")  # its keys are made up, and open nothing elsewhere


def test_a_port_that_is_taken_is_named(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ended = shell.run("sandbox", "--port", str(port))
    assert (ended.process.returncode, ended.said) == (1, "")
    assert ended.complained.startswith(f"neurolink: can't serve on port {port}: ")
    assert ended.complained.count("\n") == 1


@pytest.fixture
def sandbox(shell: Shell) -> Iterator[Program]:
    program = shell.start("sandbox")
    program.expect(r"The login prints an address")
    yield program
    program.kill()
    program.stdout.write_text("")  # its keys are made up, and open nothing elsewhere


@pytest.fixture
def bin(shell: Shell) -> str:
    """`neurolink` is found by that name."""
    folder = shell.place / "bin"
    folder.mkdir()
    script = folder / "neurolink"
    python = shlex.quote(sys.executable)
    script.write_text(f'#!/bin/sh\nexec {python} -m neurolink_mitm.cli "$@"\n')
    script.chmod(0o700)
    return f"{folder}:{shell.environment['PATH']}"


def lines_of(sandbox: Program, heading: str) -> list[str]:
    """The lines to paste below a heading."""
    below = sandbox.said.partition(f"\n{heading}")[2].partition("\n")[2]
    return [line.strip() for line in below.partition("\n\n")[0].splitlines() if line[:2] == "  "]


@pytest.mark.real("bash", "curl")
def test_by_hand(shell: Shell, sandbox: Program) -> None:
    [line] = lines_of(sandbox, "By hand")
    assert "event: message_stop" in shell.run("-c", line, program=("bash",)).said


@pytest.mark.real("bash")
def test_neurolink_at_it(shell: Shell, sandbox: Program, bin: str) -> None:
    home, config, *logins, login, start = lines_of(sandbox, "NeuroLink at it")
    environment = {**shell.environment, "PATH": bin, "PS1": "ready> ", "HISTFILE": ""}
    bash = pexpect.spawn("bash", ["--norc", "--noprofile"], env=environment, encoding="utf-8",
                         cwd=str(shell.home), timeout=LIMIT, dimensions=(24, 400))  # fmt: skip
    with bash:
        for line in (home, config, *logins):
            bash.expect_exact("ready> ")
            bash.sendline(line)
        bash.expect_exact("ready> ")
        bash.sendline(login)
        bash.expect(r"(http://\S+authorize\S+)")
        page = httpx.get(str(bash.match[1])).text  # type: ignore[index]
        code = re.search(r'<pre id="code">(.*?)</pre>', page)
        assert code
        bash.expect("not shown")
        bash.sendline(html.unescape(code[1]))
        bash.expect("login stored as 'gamma@example.com'")
        bash.expect_exact("ready> ")
        bash.sendline(start)
        bash.expect(r"listens on (http://\S+) \(fill-first, 3 accounts\)")
        url = str(bash.match[1])  # type: ignore[index]
        bash.expect("curl -iN")
        answers = [httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=LIMIT) for _ in range(3)]
        bash.sendintr()
        bash.expect_exact("ready> ")
        bash.sendline("exit")
        bash.expect(pexpect.EOF)
    assert {each.headers["x-neurolink-account"] for each in answers} == {"alpha", "beta"}
    assert not (shell.home / ".claude").exists()


@pytest.mark.real("npm")
def test_claude_code_straight_at_it(shell: Shell, sandbox: Program, tmp_path: Path) -> None:
    claude = claude_code.installed()
    exports = [line for line in lines_of(sandbox, "Claude Code") if line.startswith("export ")]
    named = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    done = claude_code.say_hi(claude, tmp_path, ANTHROPIC_API_KEY="", **named)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Account beta (API key) answers" in done.stdout
