"""Claude Code's settings, changed for a proxy and put back. Processes of our own stand for proxies."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError, settings_path
from tests.claude_code.killing import KILLED
from tests.cli.processes import ROOT

ORIGINAL = b'{\r\n  "model": "opus",\r\n  "env": {"A": "1"}\r\n}'
URL, OTHER = "http://127.0.0.1:55669", "http://127.0.0.1:55670"
ME = os.getpid()


class Proxies:
    """Processes that do nothing, until they are killed."""

    def __init__(self) -> None:
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> int:
        process = subprocess.Popen(
            [sys.executable, "-Sc", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )
        self.running[process.pid] = process
        return process.pid

    def kill(self, pid: int) -> None:
        process = self.running.pop(pid)
        process.kill()
        process.communicate()


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    proxies = Proxies()
    yield proxies
    for pid in list(proxies.running):
        proxies.kill(pid)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "claude" / "settings.json"
    path.parent.mkdir()
    path.write_bytes(ORIGINAL)
    return path


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "claude-settings.json"


@pytest.fixture
def settings(record: Path) -> ClaudeSettings:
    return ClaudeSettings(record)


def env(path: Path) -> Any:
    return json.loads(path.read_text())["env"]


def test_it_is_pointed_at_the_proxy_and_put_back(settings: ClaudeSettings, path: Path) -> None:
    settings.claim(path, ME, URL)
    assert env(path) == {"A": "1", "ANTHROPIC_BASE_URL": URL, "ENABLE_TOOL_SEARCH": "true"}
    assert settings.release(ME)
    assert path.read_bytes() == ORIGINAL


def test_nothing_stays_behind(settings: ClaudeSettings, path: Path, record: Path) -> None:
    settings.claim(path, ME, URL)
    settings.release(ME)
    assert [each.name for each in path.parent.iterdir()] == ["settings.json"]
    assert not record.exists()


def test_a_second_release_does_nothing(settings: ClaudeSettings, path: Path) -> None:
    settings.claim(path, ME, URL)
    settings.release(ME)
    assert not settings.release(ME)


def test_directories_that_were_not_there_go_again(settings: ClaudeSettings, tmp_path: Path) -> None:
    path = tmp_path / "new" / "claude" / "settings.json"
    settings.claim(path, ME, URL)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    settings.release(ME)
    assert not (tmp_path / "new").exists()


def test_a_directory_that_others_use_by_now_stays(settings: ClaudeSettings, tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.json"
    settings.claim(path, ME, URL)
    (path.parent / "history").touch()
    settings.release(ME)
    assert [each.name for each in path.parent.iterdir()] == ["history"]


def test_the_record_is_its_owners(settings: ClaudeSettings, path: Path, record: Path) -> None:
    """What was there before may be an address with a password in it."""
    settings.claim(path, ME, URL)
    assert stat.S_IMODE(record.stat().st_mode) == 0o600


def test_the_record_says_who_did_it(settings: ClaudeSettings, path: Path) -> None:
    settings.claim(path, ME, URL)
    entry = settings.entry(ME)
    assert entry
    assert (entry.pid, entry.url, entry.path, entry.alive) == (ME, URL, str(path), True)
    settings.release(ME)
    assert settings.entry(ME) is None


@pytest.mark.parametrize("first", ["earlier", "later"])
def test_the_last_one_owns_the_value(
    settings: ClaudeSettings, path: Path, proxies: Proxies, first: str
) -> None:
    one, two = proxies.start(), proxies.start()
    settings.claim(path, one, URL)
    settings.claim(path, two, OTHER)
    assert env(path)["ANTHROPIC_BASE_URL"] == OTHER
    settings.release(one if first == "earlier" else two)
    left = OTHER if first == "earlier" else URL
    assert (env(path)["ANTHROPIC_BASE_URL"], env(path)["ENABLE_TOOL_SEARCH"]) == (left, "true")
    settings.release(two if first == "earlier" else one)
    assert path.read_bytes() == ORIGINAL


def test_a_file_that_was_not_there_goes_with_the_last(
    settings: ClaudeSettings, tmp_path: Path, proxies: Proxies
) -> None:
    path = tmp_path / "new" / "settings.json"
    one, two = proxies.start(), proxies.start()
    settings.claim(path, one, URL)
    settings.claim(path, two, OTHER)
    settings.release(one)
    assert path.exists()
    settings.release(two)
    assert not path.parent.exists()


def test_what_a_dead_one_left_is_put_back(
    settings: ClaudeSettings, path: Path, proxies: Proxies
) -> None:
    one = proxies.start()
    settings.claim(path, one, URL)
    assert settings.put_back() == ()
    assert env(path)["ANTHROPIC_BASE_URL"] == URL  # it lives
    proxies.kill(one)
    assert settings.put_back() == ()
    assert path.read_bytes() == ORIGINAL


@pytest.mark.parametrize("count", [1, 3])
def test_the_next_start_puts_back_what_dead_ones_left(
    settings: ClaudeSettings, path: Path, proxies: Proxies, count: int
) -> None:
    pids = [proxies.start() for _ in range(count)]
    for number, pid in enumerate(pids):
        settings.claim(path, pid, f"http://127.0.0.1:{number + 1}")
    for pid in pids:
        proxies.kill(pid)
    settings.claim(path, ME, URL)
    settings.release(ME)
    assert path.read_bytes() == ORIGINAL


def test_a_pid_that_is_used_again_is_another(
    settings: ClaudeSettings, path: Path, record: Path
) -> None:
    settings.claim(path, ME, URL)
    document = json.loads(record.read_text())
    document["entries"][0]["pidStarted"] -= 1000
    record.write_text(json.dumps(document))
    settings.put_back()
    assert path.read_bytes() == ORIGINAL


def test_settings_files_are_told_apart(
    settings: ClaudeSettings, path: Path, tmp_path: Path, proxies: Proxies
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(ORIGINAL)
    one, two = proxies.start(), proxies.start()
    settings.claim(path, one, URL)
    settings.claim(other, two, OTHER)
    settings.release(one)
    assert path.read_bytes() == ORIGINAL
    assert env(other)["ANTHROPIC_BASE_URL"] == OTHER


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"env": 1}', b"\xff"], ids=repr)
def test_what_is_broken_is_named_and_not_touched(
    settings: ClaudeSettings, path: Path, record: Path, content: bytes
) -> None:
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=str(path)):
        settings.claim(path, ME, URL)
    assert path.read_bytes() == content
    assert not record.exists()


def test_what_was_broken_meanwhile_is_put_back_once_it_is_mended(
    settings: ClaudeSettings, path: Path
) -> None:
    settings.claim(path, ME, URL)
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    with pytest.raises(SettingsError, match=str(path)):
        settings.release(ME)
    path.write_bytes(good)
    assert settings.release(ME)
    assert path.read_bytes() == ORIGINAL


def test_of_a_broken_file_the_dead_are_not_forgotten(
    settings: ClaudeSettings, path: Path, proxies: Proxies
) -> None:
    one = proxies.start()
    settings.claim(path, one, URL)
    proxies.kill(one)
    good = path.read_bytes()
    path.write_bytes(b"{")
    [fault] = settings.put_back()
    assert str(path) in fault
    path.write_bytes(good)
    settings.put_back()
    assert path.read_bytes() == ORIGINAL


def test_a_file_that_is_gone_stays_gone(settings: ClaudeSettings, path: Path) -> None:
    settings.claim(path, ME, URL)
    path.unlink()
    assert settings.release(ME)
    assert not path.exists()


def test_a_directory_in_its_place_is_named(settings: ClaudeSettings, path: Path) -> None:
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match=str(path)):
        settings.claim(path, ME, URL)


def test_a_broken_record_is_set_aside(
    settings: ClaudeSettings, path: Path, record: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record.write_text("{")
    settings.claim(path, ME, URL)
    assert [each.read_text() for each in record.parent.glob("*.corrupt-*")] == ["{"]
    assert settings.release(ME)


def test_whoever_is_killed_at_any_step_leaves_what_can_be_put_back(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.claude_code.killing_settings", str(path.parent)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    *killed, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) > 10
    assert [step for step in killed if step != {"code": KILLED, "same": True}] == []
    assert last == {"code": 0, "same": True}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/me"}, "/home/me/.claude/settings.json"),
        ({"HOME": "/home/me", "CLAUDE_CONFIG_DIR": "/c"}, "/c/settings.json"),
        ({"CLAUDE_CONFIG_DIR": "/c"}, "/c/settings.json"),
        ({"CLAUDE_CONFIG_DIR": "", "HOME": "/home/me"}, "/home/me/.claude/settings.json"),
        ({}, None),
    ],
    ids=["home", "chosen", "no-home", "empty", "nothing"],
)
def test_where_the_settings_are(environ: dict[str, str], expected: str | None) -> None:
    found = settings_path(environ)
    assert (str(found) if found else None) == expected
