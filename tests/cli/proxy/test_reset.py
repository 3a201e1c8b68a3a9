"""`neurolink proxy reset`."""

from __future__ import annotations

import httpx

from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE
from tests.cli.ui.test_running import neurolink


def test_reset_of_a_running_one(running: Running) -> None:
    ask = f"{running.url}/v1/messages"
    attempts = (httpx.post(ask, json=MESSAGE).headers["x-neurolink-attempts"] for _ in range(3))
    assert "2" in attempts  # the sandbox has limited its first account
    reset = running.shell.run("proxy", "reset", "alpha")
    assert (reset.process.returncode, reset.said) == (0, "reset: alpha\n")
    accounts = httpx.get(f"{running.url}/status").json()["stats"]["accounts"]
    assert not accounts[0]["cooling"]


def test_reset_of_an_account_that_is_not_there(running: Running) -> None:
    reset = running.shell.run("proxy", "reset", "nobody")
    assert (reset.process.returncode, reset.said) == (1, "")
    assert "nobody" in reset.complained


def test_reset_while_nothing_runs() -> None:
    assert neurolink("proxy", "reset").stdout == "nothing to reset\n"
    ended = neurolink("proxy", "reset", "work")
    assert ended.exit_code == 1
    assert "no cooldown is kept for an account 'work'" in ended.stderr
