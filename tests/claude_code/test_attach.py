"""Attached to a proxy that this very process stands for."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import process_start
from neurolink_mitm.claude_code.attach import ClaudeCode
from neurolink_mitm.claude_code.attachments import AllSettings
from neurolink_mitm.claude_code.choices import Choices, write_choices

URL = "http://127.0.0.1:9"


@pytest.fixture
def place(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.create()
    return place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def test_settings_and_guard_are_there_until_it_is_detached(place: Home, path: Path) -> None:
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    assert URL in path.read_text()
    guard = claude_code.guard_pid
    assert guard is not None
    assert process_start(guard)
    claude_code.detach(os.getpid())
    assert not path.exists()
    assert process_start(guard) is None


def test_without_settings_there_is_nothing_to_guard(
    place: Home, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text("{")
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    assert (claude_code.attached, claude_code.guard_pid) == (False, None)
    assert "neurolink proxy env" in caplog.text
    claude_code.detach(os.getpid())
    assert path.read_text() == "{"


def test_what_can_not_be_put_back_is_told(
    place: Home, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    path.write_text("{")
    claude_code.detach(os.getpid())
    assert str(path) in caplog.text
    assert "next start tries again" in caplog.text
    assert path.read_text() == "{"


def test_an_editor_that_a_dead_proxy_has_left_is_restored(place: Home, path: Path) -> None:
    """It was not to be attached any more, and neither proxy nor guard was there to restore it."""
    dead = subprocess.Popen(["/bin/sleep", "60"])
    editor = path.with_name("code.json")
    AllSettings(place).editor.claim(editor, dead.pid, URL)
    dead.kill()
    dead.wait()
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    assert not editor.exists()
    claude_code.detach(os.getpid())


def test_choices_that_can_not_be_read_change_no_more_than_the_address(
    place: Home, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place.claude_choices.write_text("{")
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    assert "CLAUDE_CODE" not in path.read_text()
    assert "neurolink proxy setup" in caplog.text
    claude_code.detach(os.getpid())


def test_an_editor_alone_is_guarded(place: Home, path: Path) -> None:
    path.write_text("{")
    editor = path.with_name("code.json")
    write_choices(place.claude_choices, Choices(editor=str(editor)))
    claude_code = ClaudeCode(place, path)
    claude_code.attach(os.getpid(), URL)
    assert (claude_code.attached, claude_code.guard_pid is None) == (False, False)
    assert URL in editor.read_text()
    claude_code.detach(os.getpid())
    assert not editor.exists()
