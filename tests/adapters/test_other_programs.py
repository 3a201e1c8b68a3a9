from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from neurolink_mitm.adapters.other_programs import SCRIPTED, Program, original, running
from tests.waiting import wait_until

NAME = "nl-test-program"
PROGRAM = Program("it", frozenset({NAME}), ("@nl-test/it",))


@contextmanager
def process(*command: str) -> Iterator[int]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as started:
        wait_until(psutil.Process(started.pid).cmdline, "it has its command line")
        yield started.pid
        started.communicate()


def copied(to: Path) -> str:
    """A program of another name that runs until its input ends."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(shutil.which("cat") or "/bin/cat", to)
    return str(to)


def script(to: Path) -> str:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("read line\n")
    return str(to)


def test_nothing_runs() -> None:
    assert running(PROGRAM) is None


@pytest.mark.parametrize("way", ["program", "script", "package"])
def test_a_process_is_recognised_by_its_name(tmp_path: Path, way: str) -> None:
    commands = {
        "program": (copied(tmp_path / NAME.upper()),),
        "script": ("bash", script(tmp_path / f"{NAME}.js"), "--key=hunter2"),
        "package": ("bash", script(tmp_path / "node_modules" / "@nl-test" / "it" / "cli.js")),
    }
    with process(*commands[way]) as pid:
        how = running(PROGRAM)
        assert how is not None
        assert how.startswith(f"process {pid} (")
        assert "hunter2" not in how


def test_a_file_of_that_name_that_is_only_read_is_no_process(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / NAME)
    with subprocess.Popen(["cat", str(tmp_path / NAME)]) as reader:
        assert running(PROGRAM) is None
        (tmp_path / NAME).write_text("")
        reader.wait(10)


@pytest.mark.parametrize("inline", [True, False])
def test_a_name_that_is_an_argument_is_no_process(tmp_path: Path, inline: bool) -> None:
    path = f"{tmp_path}/@nl-test/it"
    runs = ("-c", f"read x; : {path}") if inline else (script(tmp_path / "x.sh"), path)
    with process("bash", *runs, NAME):
        assert running(PROGRAM) is None


def test_the_original_is_no_python(tmp_path: Path) -> None:
    """That is us."""
    program = original(tmp_path)
    assert program.interpreters == SCRIPTED
    with process("bash", script(tmp_path / "neurolink")):
        assert running(program) is None
    with process(copied(tmp_path / "node"), script(tmp_path / "neurolink"), "-") as pid:
        assert f"process {pid} (node" in str(running(program))


@pytest.mark.parametrize("content", ["{pid}", '{{"pid": {pid}}}'], ids=["number", "json"])
def test_a_pid_file_counts_while_its_process_lives(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.pid"
    program = Program("it", pid_files=(path,))
    with process("cat") as pid:
        path.write_text(content.format(pid=pid))
        assert str(running(program)).startswith(f"process {pid}")
        hour_ago = time.time() - 3600
        os.utime(path, (hour_ago, hour_ago))
        assert running(program) is None, "the pid was reused"
        os.utime(path)
    assert running(program) is None, "it has ended"


@pytest.mark.parametrize(
    "content",
    ["", "x", "[]", "-1", "0", "true", "1e400", "9" * 40, "null", "[" * 9999, '{"pid": "1"}'],
)
def test_a_broken_pid_file_counts_for_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)
    assert running(Program("it", pid_files=(tmp_path / "x", tmp_path / "none", tmp_path))) is None


def test_the_state_of_a_proxy_of_ours_is_not_the_original_s(tmp_path: Path) -> None:
    state = {"pid": os.getppid(), "pidStarted": 1.0}
    (tmp_path / "proxy-state.json").write_text(json.dumps(state))
    assert running(Program("it", pid_files=original(tmp_path).pid_files)) is None


def test_a_listener_on_its_port_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"listens on its port {port}" in str(running(Program("it", port=port)))
    assert running(Program("it", port=port)) is None
