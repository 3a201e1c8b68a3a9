from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import psutil
import pytest

from neurolink_mitm.notices.command import Command, variables_for
from neurolink_mitm.notices.event import encode, trial_event
from neurolink_mitm.notices.undelivered import Undelivered
from tests.fakes import NOW
from tests.waiting import wait_until

EVENT = trial_event("ntc_1", NOW)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "a command"


def write(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(stat.S_IRWXU)
    return path


def send(*arguments: str, limit: float = 10.0, **environ: str) -> str:
    command = Command(arguments, {"PATH": os.environ["PATH"], **environ}, limit)
    try:
        return asyncio.run(command.send(EVENT))
    except Undelivered as e:
        return f"failed: {e}"


def test_the_event_is_on_its_input_and_the_arguments_are_the_users(script: Path) -> None:
    write(
        script, f'cat > "{script}.json"; printf "%s|" "$@" > "{script}.args"; env > "{script}.env"'
    )
    assert send(str(script), "-x", "$HOME; `id`", HOME="/h", ANTHROPIC_API_KEY="k", PROXY="p") == (
        "exit code 0"
    )
    assert json.loads(Path(f"{script}.json").read_text()) == json.loads(encode(EVENT))
    assert Path(f"{script}.args").read_text() == "-x|$HOME; `id`|"
    names = {line.partition("=")[0] for line in Path(f"{script}.env").read_text().splitlines()}
    assert names - {"PWD", "OLDPWD", "SHLVL", "_"} == {"HOME", "PATH"}


def test_the_variables_hold_no_key() -> None:
    environ = {
        "PATH": "/bin", "LC_ALL": "C", "XDG_RUNTIME_DIR": "/run", "NEUROLINK_HOME": "/h", "HTTPS_PROXY": "u:p",
        "OPENAI_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t", "REDIS_URL": "r",
    }  # fmt: skip
    assert variables_for(environ).keys() == {"PATH", "LC_ALL", "XDG_RUNTIME_DIR", "NEUROLINK_HOME"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exit 3", "failed: a command ended with exit code 3"),
        ("kill -9 $$", "failed: a command ended with signal 9"),
        ("exec 0<&-; exit 0", "exit code 0"),
        ("yes | head -c 1000000; yes >&2 & kill $!", "exit code 0"),
    ],
    ids=["exit code", "signal", "reads nothing", "says much"],
)
def test_how_a_program_ends(script: Path, text: str, expected: str) -> None:
    assert send(str(write(script, text))) == expected


def test_a_program_that_can_t_be_run(script: Path) -> None:
    assert send(str(script)) == "failed: a command can't be run: No such file or directory"
    script.write_text("x")
    assert send(str(script)) == "failed: a command can't be run: Permission denied"


def test_a_program_that_hangs_is_killed_with_its_children(script: Path) -> None:
    pids = Path(f"{script}.pids")
    hanging = (
        "sleep 60 & echo $! >> {0}; setsid sleep 60 & echo $! >> {0}; echo $$ >> {0};"
        " (sleep 60 & echo $! >> {0}); wait"  # whose parent has ended
    )
    write(script, hanging.format(f'"{pids}"'))
    left: list[int] = []
    for limit in (0.5, 3.0, 15.0):  # on a busy machine it starts slowly
        expected = f"failed: a command has not ended after {limit:g} s, and was killed"
        assert send(str(script), limit=limit) == expected
        left = [int(pid) for pid in pids.read_text().split()] if pids.exists() else []
        if len(left) >= 4:
            break
    assert len(left) >= 4
    wait_until(lambda: not any(map(runs, left)), "the end of all processes")


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_its_home_may_be_written_as_a_tilde(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(script.parent))
    write(script, "exit 0")
    assert send(f"~/{script.name}") == "exit code 0"
