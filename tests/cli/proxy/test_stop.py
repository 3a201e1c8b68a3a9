"""`neurolink proxy stop`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurolink_mitm.adapters.state_file import process_start
from neurolink_mitm.cli.proxy import stop as proxy_stop
from neurolink_mitm.cli.proxy.stop import tell_to_stop
from tests.cli.processes import Shell, port_of, refuses
from tests.cli.ui.test_running import neurolink, write_state


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not end when it is told to."""
    code = "import signal, sys; signal.signal(15, signal.SIG_IGN); print(1, flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_stop_ends_it_and_leaves_nothing_behind(shell: Shell) -> None:
    proxy, url = shell.serve("--sandbox")
    stop = shell.run("proxy", "stop")
    assert (stop.process.returncode, stop.complained) == (0, "")
    assert stop.said == f"stopped (pid {proxy.pid})\n"
    assert proxy.exit_code() == 0
    assert refuses(port_of(url))
    assert not shell.state.exists()


def test_stop_gives_up_in_the_end(
    home: Path, deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy_stop, "stop_limit", lambda drain: 0.2)
    write_state(home, pid=deaf.pid, pid_started=process_start(deaf.pid))
    ended = neurolink("proxy", "stop")
    assert ended.exit_code == 1
    assert f"process {deaf.pid} did not stop" in ended.stderr


def test_one_that_has_ended_needs_no_telling() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(60)
    tell_to_stop(ended.pid)


def test_another_users_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(SystemExit) as ended:
        tell_to_stop(7)
    assert ended.value.code == 1
    assert "pid 7) runs as another user" in capsys.readouterr().err
