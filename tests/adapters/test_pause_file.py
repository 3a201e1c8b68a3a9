from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from neurolink_mitm.adapters.pause_file import PauseFileError, pause, read_pauses, resume
from neurolink_mitm.core.pool.pauses import Pause
from tests.fakes import NOW


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pauses.json"


def test_a_pause_lasts_until_it_is_resumed(path: Path) -> None:
    assert read_pauses(path) == {}
    pause(path, "anthropic:a", Pause(None, "why"), NOW)
    pause(path, "anthropic:b", Pause(NOW + 5), NOW)
    assert read_pauses(path)["anthropic:a"] == Pause(None, "why")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert resume(path, "anthropic:a", NOW)
    assert not resume(path, "anthropic:a", NOW)
    assert not resume(path, "anthropic:b", NOW + 5), "it is over"
    assert read_pauses(path) == {}


def test_to_resume_makes_no_file(path: Path) -> None:
    assert not resume(path, "anthropic:a", NOW)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("kind", ["broken", "folder", "fifo"])
def test_a_broken_file_is_reported_and_never_overwritten(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text("{")
    for change in (read_pauses, lambda path: pause(path, "anthropic:a", Pause(), NOW)):
        with pytest.raises(PauseFileError, match=str(path)):
            change(path)
    if kind == "broken":
        assert path.read_text() == "{"
