"""Claude Code's and VS Code's settings together, and editors' settings that are left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.claude_code.attach import attach_editor
from neurolink_mitm.claude_code.attachments import AllSettings
from neurolink_mitm.claude_code.choices import Choices
from neurolink_mitm.claude_code.settings import SettingsError

URL = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_both_are_detached_attached_again_and_released(home: Home, tmp_path: Path) -> None:
    both, pid = AllSettings(home), os.getpid()
    paths = [tmp_path / "claude.json", tmp_path / "code.json"]
    both.claude.claim(paths[0], pid, URL, {"X": "1"})
    attach_editor(both, paths[1], pid, URL, Choices(model_discovery=True))
    assert all(URL in path.read_text() for path in paths)
    assert len(both.running()) == 2
    assert both.detach(pid, "it is silent", 1.0)
    assert not any(path.exists() for path in paths)
    assert both.attach_again(pid, 2.0)
    assert all(URL in path.read_text() for path in paths)
    assert both.release(pid)
    assert both.entry(pid) is None
    assert not any(path.exists() for path in paths)


def test_a_file_that_can_not_be_restored_stops_no_other(home: Home, tmp_path: Path) -> None:
    both, pid = AllSettings(home), os.getpid()
    broken, good = tmp_path / "claude.json", tmp_path / "code.json"
    both.claude.claim(broken, pid, URL)
    both.editor.claim(good, pid, URL)
    broken.write_text("{")
    with pytest.raises(SettingsError, match="claude"):
        both.release(pid)
    assert not good.exists()
    broken.unlink()
    both.release(pid)
    assert both.running() == ()


def test_what_only_the_earlier_proxy_has_set_goes_with_it(home: Home, tmp_path: Path) -> None:
    """Another proxy of this home was started since, after another choice."""
    both, path = AllSettings(home), tmp_path / "settings.json"
    path.write_text('{"env": {"A": "1"}}')
    both.claude.claim(path, os.getppid(), URL, {"X": "1"})
    both.claude.claim(path, os.getpid(), URL)
    both.release(os.getppid())
    assert '"X"' not in path.read_text()
    assert URL in path.read_text()
    both.release(os.getpid())
    assert path.read_text() == '{"env": {"A": "1"}}'


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (lambda path: path.write_text("{"), "can't be changed"),
        (lambda path: path.write_text('{"claudeCode.environmentVariables": {}}'), "is not a list"),
        (lambda path: path.write_text(f'{{"a": "{"x" * 1_000_001}"}}'), "larger than"),
        (lambda path: path.chmod(0o400), "is read-only"),
        (lambda path: (path.unlink(), path.symlink_to("gone")), "leads nowhere"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "no regular file"),
        (lambda path: path.write_bytes(b"\xff"), "can't be changed"),
    ],
    ids=["no JSON", "no list", "huge", "read-only", "dangling link", "a pipe", "no UTF-8"],
)  # fmt: skip
def test_editors_that_are_left_alone(home: Home, tmp_path: Path, prepare: object, why: str) -> None:
    path = tmp_path / "settings.json"
    path.write_text("{}")
    prepare(path)  # type: ignore[operator]
    before = path.lstat()
    with pytest.raises(SettingsError, match=why):
        attach_editor(AllSettings(home), path, os.getpid(), URL, Choices())
    after = path.lstat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert not home.editor_settings.exists()
