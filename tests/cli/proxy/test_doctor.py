"""`neurolink proxy doctor`, as a user runs it."""

from __future__ import annotations

import json
import re
import stat
import zipfile
from pathlib import Path
from typing import Any

import httpx

from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE, Program, Shell, port_of
from tests.waiting import wait_until


def examined(shell: Shell, *arguments: str) -> tuple[Program, dict[str, dict[str, Any]]]:
    """What it finds, by id."""
    ended = shell.run("proxy", "doctor", "--format", "json", *arguments)
    report = json.loads(ended.said)
    assert report["ok"] == (ended.process.returncode == 0)
    return ended, {each["id"]: each for each in report["findings"]}


def test_with_the_proxy_up_nothing_is_to_be_repaired(shell: Shell, pool: Path) -> None:
    proxy, url = shell.serve()
    ended, found = examined(shell)
    assert ended.process.returncode == 0, ended.said
    assert found["proxy"]["text"] == f"runs on {url} (pid {proxy.pid})"
    assert found["accounts"]["text"] == "2 in the pool: a, b"
    assert {found[id_]["level"] for id_ in ("upstream", "claude-settings", "guard")} == {"ok"}


def test_after_a_proxy_was_killed(shell: Shell, pool: Path) -> None:
    proxy, url = shell.serve("--no-claude-settings")
    proxy.kill()
    ended, found = examined(shell)
    assert ended.process.returncode == 0, ended
    assert {"leftover-state", "proxy-down"} <= found.keys()
    assert str(port_of(url)) in found["proxy-down"]["text"]


def test_keys_come_from_the_env_file_as_well(shell: Shell, pool: Path) -> None:
    keys = {name: shell.variables.pop(name) for name in ("KEY_a", "KEY_b")}
    _, found = examined(shell)
    assert (
        "the variable KEY_b is not set, neither in the environment nor in .env"
        in found["config-fault"]["text"]
    )
    shell.write(".env", "".join(f"{name}={value}\n" for name, value in keys.items()))
    _, found = examined(shell)
    assert found["accounts"]["text"] == "2 in the pool: a, b"
    ended, _ = examined(shell, "--env-file", "not-there.env")
    assert "not-there.env: no such file" in ended.said


def test_for_people(shell: Shell, pool: Path) -> None:
    ended = shell.run("proxy", "doctor")
    assert ended.process.returncode == 0
    assert re.search(r"^ok   Python 3\.", ended.said, re.MULTILINE)
    assert re.search(r"^warn the proxy does not run.*\[proxy-down\]\n +fix: neurolink proxy start$",
                     ended.said, re.MULTILINE)  # fmt: skip
    assert "\x1b" not in ended.said


def test_what_fails_is_exit_code_1(shell: Shell) -> None:
    shell.write("proxy-config.yaml", "version: 1\ndefaultBaseUrl: http://127.0.0.1:9\n")
    ended, found = examined(shell)
    assert ended.process.returncode == 1
    assert {"accounts-none", "upstream-unreachable"} <= found.keys()


def test_a_home_that_is_a_file(shell: Shell) -> None:
    (shell.home / ".neurolink").write_text("")
    ended, found = examined(shell)
    assert ended.process.returncode == 1
    assert "home-unusable" in found


def test_no_home(shell: Shell) -> None:
    """As under a service manager that sets nothing."""
    shell.variables["HOME"] = ""
    ended, found = examined(shell)
    assert ended.process.returncode == 1
    assert "home-unset" in found


def test_claude_code_goes_past_it(shell: Shell, pool: Path) -> None:
    shell.variables |= {"CLAUDE_CODE_USE_BEDROCK": "1"}
    settings = shell.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}}))
    ended, found = examined(shell)
    assert ended.process.returncode == 1
    assert {"env-other-cloud", "claude-settings-leftover"} <= found.keys()


def test_a_bundle_holds_what_helps_and_no_secret(shell: Shell, pool: Path) -> None:
    pool.write_text(pool.read_text() + "clients: {api-keys: [a-plain-client-key]}\n")
    shell.write(".env", "OTHER_API_KEY=another-plain-key\n")
    _, url = shell.serve()
    guard = shell.home / ".neurolink" / "logs" / "guard.log"
    wait_until(guard.exists, "the guard writes its log")
    guard.write_text("what a library said: another-plain-key\n")
    key = {"x-api-key": "a-plain-client-key"}
    assert httpx.post(f"{url}/v1/messages", json=MESSAGE, headers=key).status_code == 200
    path = shell.home / "report.zip"
    ended = shell.run("proxy", "doctor", "--bundle", str(path))
    assert ended.process.returncode == 0, ended
    assert f"written: {path}" in ended.complained
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        found = {name: archive.read(name).decode() for name in archive.namelist()}
    assert {"doctor.json", "versions.json", "status.json", "configuration.json"} <= found.keys()
    assert sum(name.startswith("logs/proxy-") for name in found) == 2
    assert "what a library said: ***" in found["logs/guard.log"]
    everything = "".join(found.values())
    for secret in (
        "sk-ant-",
        "a-plain-client-key",
        "another-plain-key",
        str(shell.home),
        _admin_token(shell),
    ):
        assert secret not in everything
    assert json.loads(found["configuration.json"])["accounts"][0]["name"] == "a"


def _admin_token(shell: Shell) -> str:
    token: str = json.loads(shell.state.read_text())["adminToken"]
    assert token
    return token


def test_a_bundle_overwrites_nothing(shell: Shell) -> None:
    path = shell.home / "report.zip"
    path.write_text("mine")
    ended = shell.run("proxy", "doctor", "--bundle", str(path))
    assert (ended.process.returncode, ended.said) == (1, "")
    assert ended.complained.count("\n") == 1
    assert path.read_text() == "mine"


def test_a_bundle_that_can_not_be_written(shell: Shell, upstream: SandboxServer) -> None:
    path = shell.home / "nowhere" / "report.zip"
    ended = shell.run("proxy", "doctor", "--bundle", str(path))
    assert ended.process.returncode == 1
    assert f"can't write {path}: No such file or directory" in ended.complained


def test_it_looks_at_the_configuration_that_the_proxy_runs_with(shell: Shell, pool: Path) -> None:
    elsewhere = pool.rename(shell.home / "elsewhere.yaml")
    shell.serve("--config", str(elsewhere))
    _, found = examined(shell)
    assert found["config"]["text"] == str(elsewhere)
    assert found["accounts"]["text"] == "2 in the pool: a, b"


def test_it_says_where_claude_codes_settings_are_broken(shell: Shell, pool: Path) -> None:
    shell.claude_settings.parent.mkdir(exist_ok=True)
    shell.claude_settings.write_text("{,}")
    _, found = examined(shell)
    assert "line 1 column 2" in found["claude-settings-broken"]["text"]


def test_the_contract_is_held_by_a_proxy_on_the_sandbox(running: Running) -> None:
    ended = running.shell.run("proxy", "doctor", "--contract", "--format", "json")
    report = json.loads(ended.said)
    rows = {each["id"]: each["state"] for each in report["rows"]}
    assert (ended.process.returncode, report["url"]) == (0, running.url), ended.said
    assert [name for name, state in rows.items() if state == "failed"] == []
    assert rows["streaming"] == rows["anthropic-beta"] == "ok"


def test_the_contract_for_people(running: Running) -> None:
    ended = running.shell.run("proxy", "doctor", "--contract", "--url", f"{running.url}/")
    assert ended.process.returncode == 0, ended.said
    assert re.search(r"^ok +model-discovery ", ended.said, re.MULTILINE)
    assert re.search(r"^not run +retry-after +needs a pool", ended.said, re.MULTILINE)


def test_the_contract_of_nobody(shell: Shell) -> None:
    assert shell.run("proxy", "doctor", "--contract").process.returncode == 3
    for wrong in (
        ("--spend",), ("--contract", "--bundle", "x"), ("--contract", "--url", "x"),
        ("--contract", "--url", "http://me:secret@x"), ("--contract", "--url", "http://[x"),
    ):  # fmt: skip
        assert shell.run("proxy", "doctor", *wrong).process.returncode == 2
    gone = shell.run("proxy", "doctor", "--contract", "--url", "http://127.0.0.1:9")
    assert gone.process.returncode == 1
    assert "Traceback" not in gone.complained
