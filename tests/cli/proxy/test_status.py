"""`neurolink proxy status`: of one that runs, of one that does not, and live."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pexpect
import pytest

from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE, NEUROLINK, Shell, port_of
from tests.cli.ui.test_running import neurolink, write_state
from tests.waiting import LIMIT, wait_until


def test_status_for_people(running: Running) -> None:
    httpx.post(f"{running.url}/v1/messages", json=MESSAGE)
    status = running.shell.run("proxy", "status")
    assert (status.process.returncode, status.complained) == (0, "")
    head, totals, dashboard, titles, *accounts = status.said.splitlines()
    assert head.startswith("NeuroLink ")
    assert f"on {running.url} (pid {running.program.pid}, fill-first, up " in head
    assert " answered, 0 failed; " in totals
    assert dashboard.startswith("dashboard: http://127.0.0.1:")
    assert titles.split()[:3] == ["account", "type", "state"]
    assert [line.split()[:2] for line in accounts] == [
        ["alpha", "api_key"],
        ["beta", "api_key"],
        ["gamma", "oauth"],
    ]
    assert "\x1b" not in status.said


def test_status_for_programs(running: Running) -> None:
    status = running.shell.run("proxy", "status", "--format", "json")
    report = json.loads(status.said)
    known = httpx.get(f"{running.url}/status").json()
    assert report.keys() == known.keys() | {"running", "url", "startTime"}
    assert (report["running"], report["url"]) == (True, running.url)
    assert (report["pid"], report["port"]) == (running.program.pid, port_of(running.url))
    state = json.loads(running.shell.state.read_text())
    assert report["startTime"] == state["startTime"]


def test_status_explains(running: Running) -> None:
    status = running.shell.run("proxy", "status", "--explain", "--client", "other")
    assert status.process.returncode == 0
    assert "a subscription serves Claude Code only" in status.said


def test_a_model_is_explained_without_being_asked_to(running: Running) -> None:
    status = running.shell.run("proxy", "status", "--model", "gemma [1m]&x=ä")
    assert status.process.returncode == 0
    assert "the client gets 404: model: 'gemma [1m]&x=ä' is not served here" in status.said


def test_one_that_does_not_answer(home: Path) -> None:
    write_state(home)
    ended = neurolink("proxy", "status")
    assert ended.exit_code == 1
    assert ended.stderr.count("\n") == 1
    assert "http://127.0.0.1:9/status does not answer" in ended.stderr


def points_at(place: Path, url: str) -> Path:
    """Claude Code's settings of a shell."""
    path = place / ".claude" / "settings.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": url}}))
    return path


def test_nothing_runs_for_programs(shell: Shell) -> None:
    ended = shell.run("proxy", "status", "--format", "json")
    assert ended.process.returncode == 3
    report = json.loads(ended.said)
    assert (report["running"], report["leftOver"]) == (False, [])
    assert report["reason"] in ended.complained


def test_what_a_killed_one_has_left_behind(shell: Shell) -> None:
    proxy, url = shell.serve("--sandbox")
    points_at(shell.home, url)
    proxy.kill()
    status = shell.run("proxy", "status", "--format", "json")
    assert status.process.returncode == 3
    left = {each["id"]: each["text"] for each in json.loads(status.said)["leftOver"]}
    assert set(left) == {"leftover-state", "claude-settings-leftover"}
    assert url in left["claude-settings-leftover"]
    told = shell.run("proxy", "status")
    assert left["claude-settings-leftover"] in told.said
    assert "take ANTHROPIC_BASE_URL out of the file" in told.said


def test_cooldowns_that_are_still_to_come(shell: Shell) -> None:
    cooldown = {"level": 1, "began": 0, "until": 1e11, "reason": "rate limit (429)"}
    kept = {"anthropic:work": {"credential": "x", "scopes": {"*": cooldown}}}
    shell.write("cooldowns.json", json.dumps({"version": 1, "accounts": kept}))
    status = shell.run("proxy", "status")
    assert status.process.returncode == 3
    assert re.search(
        r"account work cools until (?:\w{3} )?\d\d:\d\d \S+ \(in 10m\): rate limit \(429\)",
        status.said,
    )
    assert "neurolink proxy reset 'work'" in status.said


def test_watching_a_pipe_goes_on_when_the_proxy_comes_and_goes(shell: Shell) -> None:
    shell.variables["PYTHONUNBUFFERED"] = "1"
    watching = shell.start("proxy", "status", "--watch", "--interval", "0.1", "--format", "json")

    def last() -> bool | None:
        lines = watching.said.split("\n")[:-1]
        return json.loads(lines[-1])["running"] if lines else None

    wait_until(lambda: last() is False, "it says that nothing runs")
    proxy, _ = shell.serve("--sandbox")
    wait_until(lambda: last() is True, "it says that the proxy runs")
    proxy.signal()
    wait_until(lambda: last() is False, "it says that nothing runs any more")
    watching.signal(signal.SIGINT)
    assert watching.exit_code() == 130


@pytest.fixture
def terminal(shell: Shell) -> Iterator[pexpect.spawn[str]]:
    """A live status in a terminal."""
    with watching(shell, "xterm-256color") as spawned:
        yield spawned


def watching(shell: Shell, terminal: str) -> pexpect.spawn[str]:
    program, *arguments = NEUROLINK
    return pexpect.spawn(
        program,
        [*arguments, "proxy", "status", "--watch", "--interval", "0.1"],
        env={**shell.environment, "TERM": terminal},  # type: ignore[arg-type]
        cwd=str(shell.home),
        dimensions=(40, 160),
        encoding="utf-8",
        timeout=LIMIT,
    )


def test_a_terminal_that_can_only_go_on_gets_one_report_after_the_other(shell: Shell) -> None:
    with watching(shell, "dumb") as spawned:
        for _ in range(2):
            spawned.expect("the proxy is not running")
        spawned.sendintr()
        spawned.expect(pexpect.EOF)


def test_live_in_a_terminal(shell: Shell, terminal: pexpect.spawn[str]) -> None:
    terminal.expect("the proxy is not running")
    terminal.expect("still watching")
    proxy, url = shell.serve("--sandbox")
    terminal.expect(re.escape(url))
    httpx.post(f"{url}/v1/messages", json=MESSAGE)
    terminal.expect("1 request: 1 answered")
    proxy.kill()
    terminal.expect(f"process {proxy.pid} ended")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert "\x1b[?25h" in terminal.before  # the cursor is shown again


@pytest.mark.parametrize("interval", ["0", "-1", "x"])
def test_an_interval_that_makes_no_sense(interval: str) -> None:
    assert neurolink("proxy", "status", "--watch", "--interval", interval).exit_code == 2
