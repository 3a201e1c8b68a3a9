"""What becomes of a key's action, in one line, whatever is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.cli.top.actions import done
from neurolink_mitm.cli.top.state import Account, Pause, Reset, Resume
from tests.cli.ui.test_running import write_state
from tests.fakes import NOW

pytestmark = pytest.mark.usefixtures("in_kolkata")

WORK = Account("anthropic:work", "work")
ROWS: list[dict[str, Any]] = [
    {"key": "anthropic:work", "cooling": False, "reason": None},
    {"key": "anthropic:home", "cooling": True, "reason": "rate limit (429)"},
]


@pytest.fixture
def folder(home: Path) -> Home:
    return Home(home / ".neurolink")


def test_a_pause_is_written_with_its_end(folder: Home) -> None:
    line = done(Pause(WORK, 3600), folder, None, NOW, ROWS)
    assert line == "paused 'work' until 15:23 IST (in 1h0m)"
    assert json.loads(folder.pauses.read_text()) == {
        "anthropic:work": {"until": "2025-10-09T09:53:20Z", "reason": ""}
    }
    assert done(Resume(WORK), folder, None, NOW, ROWS) == "resumed 'work'"
    assert done(Resume(WORK), folder, None, NOW, ROWS) == "'work' was not paused"


def test_a_pause_of_the_last_one_that_can_serve_says_so(folder: Home) -> None:
    rows = [ROWS[0], ROWS[1] | {"cooling": False, "reason": "needs login"}]
    line = done(Pause(WORK, None), folder, None, NOW, rows)
    assert line == "paused 'work' until it is resumed; no other account can serve now"


def test_a_broken_file_is_left_alone(folder: Home) -> None:
    folder.create()
    folder.pauses.write_text("{")
    for action in (Pause(WORK, None), Resume(WORK)):
        assert "pauses.json: is broken" in done(action, folder, None, NOW, ROWS)
    assert folder.pauses.read_text() == "{"


def test_a_folder_that_can_not_be_made(home: Path) -> None:
    (home / "file").touch()
    line = done(Pause(WORK, None), Home(home / "file"), None, NOW, ROWS)
    assert line.startswith("failed: ")
    assert "is not a directory" in line


def test_a_reset_while_the_proxy_is_gone_or_silent(home: Path, folder: Home) -> None:
    assert done(Reset(WORK), folder, None, NOW, ROWS) == "not reset: the proxy is not running"
    write_state(home)
    line = done(Reset(WORK), folder, None, NOW, ROWS)
    assert line == "not reset: the proxy on http://127.0.0.1:9 does not answer"
    assert done(Reset(WORK), folder, 8, NOW, ROWS) == "not reset: the proxy is not running"
