"""Commands that report, in terminals of several widths and piped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pexpect
import pytest

from tests.cli.conftest import Running
from tests.cli.logins import entry
from tests.cli.processes import MESSAGE, NEUROLINK, Shell
from tests.waiting import LIMIT, wait_until

MAIL = "gamma.ray@observatory.example.com"
REPORTS = ("status", "status --explain", "auth list", "logs tail", "stats", "doctor", "config show")
CLOCK = re.compile(r"\b\d\d:\d\d[\d:.]*(?! IST)(?![\d:.])")
"""A time of day, unless it is marked as that of the reader."""


def written(logs: Path) -> int:
    return sum(each.read_bytes().count(b"\n") for each in logs.glob("proxy-2*"))


@pytest.fixture(scope="module")
def served(running: Running) -> Shell:
    """Three requests, the last of which met a rate limit; and a login with a long label."""
    for _ in range(3):
        answer = httpx.post(f"{running.url}/v1/messages", json=MESSAGE, timeout=LIMIT)
        assert answer.status_code == 200
    logins = {f"anthropic:{MAIL}": entry("sk-ant-oat-test-1", refresh="r", ends=60, email=MAIL)}
    running.shell.write("tokens.json", json.dumps({"version": "2.0", "providers": logins}))
    logs = running.shell.home / ".neurolink" / "logs"
    wait_until(lambda: written(logs) == 3, "three rows")
    return running.shell


@pytest.fixture(scope="module")
def at_80(served: Shell) -> dict[str, list[str]]:
    """What each report shows in 80 columns."""
    return {command: on_terminal(served, command, 80) for command in REPORTS}


def on_terminal(shell: Shell, command: str, width: int) -> list[str]:
    program, *words = NEUROLINK
    variables = {**shell.environment, "TERM": "xterm", "TZ": "Asia/Kolkata"}
    child = pexpect.spawn(program, [*words, *command.split()], env=variables, cwd=str(shell.home),
                          dimensions=(60, width), encoding="utf-8", timeout=LIMIT)  # fmt: skip
    child.expect(pexpect.EOF)
    child.close()
    text = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]|\r", "", str(child.before))
    return [line.rstrip() for line in text.splitlines() if "looking around" not in line]


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", REPORTS)
def test_no_line_is_wider_than_the_terminal(
    served: Shell, at_80: dict[str, list[str]], command: str, width: int
) -> None:
    lines = at_80[command] if width == 80 else on_terminal(served, command, width)
    assert [line for line in lines if len(line) > width] == []
    assert lines


@pytest.mark.parametrize("command", ["status", "auth list", "logs tail"])
def test_each_account_or_request_takes_a_line_in_80_columns(
    at_80: dict[str, list[str]], command: str
) -> None:
    lines = at_80[command]
    starts = {"status": ("alpha", "beta", "gamma"), "auth list": ("gamma",), "logs tail": ("",)}
    rows = [line for line in lines if line.startswith(starts[command])]
    assert len(rows) == (1 if command == "auth list" else 3), lines


@pytest.mark.parametrize("command", REPORTS)
def test_times_are_the_readers_and_marked(at_80: dict[str, list[str]], command: str) -> None:
    text = "\n".join(at_80[command])
    assert CLOCK.findall(text) == [], text


def test_the_console_and_the_logs_have_one_clock(shell: Shell) -> None:
    shell.variables["TZ"] = "Asia/Kolkata"
    proxy, url = shell.serve("--sandbox")
    httpx.post(f"{url}/v1/messages", json=MESSAGE, timeout=LIMIT)
    console = proxy.expect(r"(?m)^(\d\d:\d\d):\d\d IST \[proxy\] POST")[1]
    tail = shell.start("logs", "tail", "--follow").expect(r"(?m)^(\d\d:\d\d):\d\d IST ")[1]
    minutes = [int(each[:2]) * 60 + int(each[3:]) for each in (console, tail)]
    assert (minutes[1] - minutes[0]) % 1440 <= 1
