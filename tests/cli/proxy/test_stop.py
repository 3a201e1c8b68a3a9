"""Telling a process to stop that may be gone, or another user's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from neurolink_mitm.cli.proxy.stop import tell_to_stop


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
