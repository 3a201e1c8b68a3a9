"""`neurolink proxy install` and `uninstall`, beside a real systemd where one can be had."""

from __future__ import annotations

import json
import os
import plistlib
import socket
import sys
from pathlib import Path

import pytest

from tests.cli.namespaces import in_a_namespace
from tests.cli.processes import ROOT, Shell
from tests.cli.user_manager import NOT_TO_BE_HAD
from tests.waiting import LIMIT


@pytest.fixture
def no_manager(shell: Shell) -> Shell:
    """As in a container: whatever runs on this machine is not to be seen."""
    programs = shell.place / "bin"
    programs.mkdir()
    (programs / "systemctl").write_text("#!/bin/sh\necho Failed to connect to bus >&2\nexit 1\n")
    (programs / "systemctl").chmod(0o755)
    shell.variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    return shell


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_without_a_service_manager_it_says_what_to_do_instead(no_manager: Shell) -> None:
    ended = no_manager.run("proxy", "install")
    assert (ended.process.returncode, ended.said) == (1, "")
    assert ended.complained.count("\n") == 1
    assert "no systemd user manager runs here" in ended.complained
    assert "neurolink proxy setup --no-service" in ended.complained
    assert list(no_manager.home.iterdir()) == []


def test_the_service_can_be_looked_at_before(shell: Shell) -> None:
    config = shell.write("other.yaml", "version: 1\n")
    shell.variables |= {"NEUROLINK_HOME": "/h", "ANTHROPIC_API_KEY": "sk-ant-test-key"}
    ended = shell.run("proxy", "install", "--print", "--port", "7", "-c", str(config))
    assert ended.process.returncode == 0
    if sys.platform == "darwin":
        shown = plistlib.loads(ended.said.encode())
        assert shown["ProgramArguments"][-2:] == ["--config", str(config)]
        assert shown["EnvironmentVariables"] == {"NEUROLINK_HOME": "/h"}
    else:
        assert f'"--port" "7" "--host" "127.0.0.1" "--config" "{config}"\n' in ended.said
        assert 'Environment="NEUROLINK_HOME=/h"\n' in ended.said
    assert "sk-ant-test" not in ended.said
    assert [each.name for each in shell.home.iterdir()] == [".neurolink"]


def test_a_file_that_is_not_there_is_bad_usage(shell: Shell) -> None:
    ended = shell.run("proxy", "install", "--env-file", "not-there")
    assert ended.process.returncode == 2
    assert "not-there" in ended.complained


def test_nothing_installed_is_nothing_to_uninstall(shell: Shell) -> None:
    ended = shell.run("proxy", "uninstall")
    assert (ended.process.returncode, ended.said) == (0, "no service is installed\n")


@pytest.mark.real("systemd", "namespaces")
@pytest.mark.timeout(150)
def test_systemd_runs_it_and_starts_it_again(shell: Shell, pool: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    # keys do not come from this terminal
    keys = [name for name in shell.variables if name.startswith("KEY_")]
    shell.write(".env", "".join(f"{name}={shell.variables.pop(name)}\n" for name in keys))
    runtime = shell.place / "runtime"
    runtime.mkdir()
    shell.variables["PYTHONPATH"] = str(ROOT)
    story = (sys.executable, "-m", "tests.cli.service_story", port)
    manager = (sys.executable, "-m", "tests.cli.user_manager", str(runtime))
    ended = shell.start(*story, program=(*in_a_namespace(), *manager))
    code = ended.exit_code(5 * LIMIT)
    if code in (1, NOT_TO_BE_HAD) and not ended.said:
        pytest.skip(f"no systemd user manager can be had here: {ended.complained[-300:]}")
    told = [json.loads(line) for line in ended.said.splitlines()]
    assert code == 0, (told, ended.complained)
    unit = shell.home / ".config/systemd/user/neurolink-proxy.service"
    serves = [0, f"installed as {unit}; it serves http://127.0.0.1:{port}\n"]
    assert told == [
        {"installed": serves, "pointed": True},
        {"again": serves, "replaced": True, "pointed": True},
        {"after_kill": False},
        {"status": 0, "guard": True},
        {"uninstalled": [0, f"service removed: {unit}\n"], "pointed": False, "state": False},
    ]
    assert not unit.exists()
