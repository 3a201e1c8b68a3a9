"""Several proxies of one home: all are seen, and each can be stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.core.settings.dashboard import DASHBOARD_PORT
from tests.cli.processes import ROOT, Program, Shell, port_of
from tests.waiting import wait_until

MITMDUMP = (str(Path(sys.executable).parent / "mitmdump"),)


def status(shell: Shell, *arguments: str) -> dict[str, Any]:
    document = json.loads(shell.run("proxy", "status", "--format", "json", *arguments).said)
    assert isinstance(document, dict)
    return document


Both = tuple[tuple[Program, str], tuple[Program, str]]


@pytest.fixture
def both(shell: Shell) -> Both:
    """Two, each on a port that was free."""
    return shell.serve("--sandbox"), shell.serve("--sandbox")


def test_all_of_them_are_shown(shell: Shell, both: Both) -> None:
    (first, first_url), (second, second_url) = both
    found = status(shell)
    assert (found["pid"], [each["url"] for each in found["proxies"]]) == (
        first.pid,
        [first_url, second_url],
    )
    assert status(shell, "--port", str(port_of(second_url)))["pid"] == second.pid
    shown = shell.run("proxy", "status").said
    assert f"another one runs on {second_url} (pid {second.pid})" in shown
    found = json.loads(shell.run("proxy", "doctor", "--format", "json").said)["findings"]
    [other] = [each for each in found if each["id"] == "proxy-other"]
    assert second_url in other["text"]
    assert "2 proxies run" in shell.run("statusline").said


def test_stop_wants_to_know_which(shell: Shell, both: Both) -> None:
    (first, first_url), (second, second_url) = both
    asked = shell.run("proxy", "stop")
    assert asked.process.returncode == 2
    for each in (first_url, second_url, "--port", "--all"):
        assert each in asked.complained
    assert shell.run("proxy", "stop", "--port", str(port_of(first_url))).process.returncode == 0
    assert first.exit_code() == 0
    assert (status(shell)["pid"], second.runs) == (second.pid, True)
    assert shell.run("proxy", "stop").said == f"stopped (pid {second.pid})\n"
    assert second.exit_code() == 0
    assert not shell.state.exists()
    assert not (shell.state.parent / "proxies").exists()


def test_all_can_be_stopped_at_once(shell: Shell, both: Both) -> None:
    assert shell.run("proxy", "stop", "--all").process.returncode == 0
    assert [program.exit_code() for program, _ in both] == [0, 0]


def test_a_port_where_none_runs_is_told(shell: Shell, both: Both) -> None:
    (_, first_url), _ = both
    for command in ("stop", "status"):
        ended = shell.run("proxy", command, "--port", "1")
        assert ended.process.returncode == 3
        assert str(port_of(first_url)) in ended.complained


def test_the_second_is_seen_once_the_first_is_killed(shell: Shell, both: Both) -> None:
    (first, _), (second, url) = both
    first.kill_alone()
    assert status(shell)["pid"] == second.pid
    assert shell.run("proxy", "env").said.startswith(f"export ANTHROPIC_BASE_URL={url}\n")


def test_the_script_in_mitmdump_is_seen_and_stopped(shell: Shell, pool: Path) -> None:
    """No `neurolink proxy start` has been run."""
    script = str(ROOT / "addons" / "neurolink.py")
    plain = shell.start("-s", script, "--listen-port", "0", program=MITMDUMP)
    wait_until(lambda: shell.state.exists() or not plain.runs, "it says where it is")
    found = status(shell)
    assert found["pid"] == plain.pid
    assert httpx.get(f"{found['url']}/health").status_code == 200
    assert port_of(found["dashboard"]["url"]) != DASHBOARD_PORT, "any free one, as asked for"
    beside, url = shell.serve("--sandbox")
    assert [each["program"] for each in status(shell)["proxies"]] == ["mitmdump", "neurolink"]
    asked = shell.run("proxy", "stop")
    assert f"(mitmdump, pid {plain.pid})" in asked.complained
    port = str(port_of(found["url"]))
    assert (
        shell.run("proxy", "stop", "--port", port).said == f"stopped (mitmdump, pid {plain.pid})\n"
    )
    assert plain.exit_code() == 0
    assert (status(shell)["url"], beside.runs) == (url, True)
