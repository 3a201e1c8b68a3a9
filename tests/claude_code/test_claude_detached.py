"""Claude Code detached from proxies that don't answer, and attached again. Processes of our own stand for proxies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from neurolink_mitm.claude_code import settings as module
from neurolink_mitm.claude_code.settings import ClaudeSettings, SettingsError
from tests.claude_code.test_settings import (
    ME,
    ORIGINAL,
    OTHER,
    URL,
    Proxies,
    env,
    path,
    proxies,
    record,
    settings,
)
from tests.fakes import NOW

__all__ = ["path", "proxies", "record", "settings"]  # fixtures


class Cut(BaseException):
    """What no code of ours bears."""


WHY = "the proxy did not answer"
BACK = NOW + 180


def change(path: Path, **values: str | None) -> None:
    """As somebody who edits the file."""
    document = json.loads(path.read_text())
    variables = {**document.get("env", {}), **values}
    document["env"] = {name: value for name, value in variables.items() if value is not None}
    path.write_text(json.dumps(document))


@pytest.fixture
def away(settings: ClaudeSettings, path: Path) -> Path:
    """The file, once this process is detached."""
    settings.claim(path, ME, URL)
    settings.detach(ME, WHY, NOW)
    return path


def test_what_was_there_before_is_back_meanwhile(settings: ClaudeSettings, away: Path) -> None:
    assert away.read_bytes() == ORIGINAL
    entry = settings.entry(ME)
    assert entry
    assert entry.away
    assert (entry.away.since, entry.away.why) == (NOW, WHY)


def test_it_is_attached_again(settings: ClaudeSettings, away: Path) -> None:
    assert settings.attach_again(ME, BACK)
    assert env(away)["ANTHROPIC_BASE_URL"] == URL
    entry = settings.entry(ME)
    assert entry
    assert entry.away is None
    assert [(each.since, each.until, each.why) for each in entry.outages] == [(NOW, BACK, WHY)]
    assert settings.release(ME)
    assert away.read_bytes() == ORIGINAL


def test_again_and_again(settings: ClaudeSettings, away: Path) -> None:
    for number in range(7):
        assert settings.attach_again(ME, NOW + number)
        settings.detach(ME, WHY, NOW + number)
    entry = settings.entry(ME)
    assert entry
    assert [each.until for each in entry.outages] == [NOW + n for n in range(2, 7)]
    assert away.read_bytes() == ORIGINAL


@pytest.mark.parametrize("end", ["release", "put_back"])
def test_one_that_ends_detached_leaves_nothing(
    settings: ClaudeSettings, path: Path, record: Path, proxies: Proxies, end: str
) -> None:
    pid = proxies.start()
    settings.claim(path, pid, URL)
    settings.detach(pid, WHY, NOW)
    proxies.kill(pid)
    if end == "release":
        settings.release(pid)
    else:
        settings.put_back()
    assert path.read_bytes() == ORIGINAL
    assert not record.exists()


def test_an_address_that_was_set_meanwhile_stays(settings: ClaudeSettings, away: Path) -> None:
    change(away, ANTHROPIC_BASE_URL="https://gateway.example.com")
    assert not settings.attach_again(ME, BACK)
    assert env(away)["ANTHROPIC_BASE_URL"] == "https://gateway.example.com"


def test_once_that_is_taken_out_it_is_attached(settings: ClaudeSettings, away: Path) -> None:
    change(away, ANTHROPIC_BASE_URL="https://gateway.example.com")
    assert not settings.attach_again(ME, BACK)
    change(away, ANTHROPIC_BASE_URL=None)
    assert settings.attach_again(ME, BACK)


def test_an_address_that_was_set_before_stays(settings: ClaudeSettings, path: Path) -> None:
    """While it was attached: what it had set is nobody's any more."""
    settings.claim(path, ME, URL)
    change(path, ANTHROPIC_BASE_URL="https://gateway.example.com")
    settings.detach(ME, WHY, NOW)
    assert not settings.attach_again(ME, BACK)
    assert env(path)["ANTHROPIC_BASE_URL"] == "https://gateway.example.com"


def test_of_two_values_one_may_be_the_users(settings: ClaudeSettings, away: Path) -> None:
    change(away, ENABLE_TOOL_SEARCH="false")
    assert settings.attach_again(ME, BACK)
    assert env(away) == {"A": "1", "ENABLE_TOOL_SEARCH": "false", "ANTHROPIC_BASE_URL": URL}
    settings.release(ME)
    assert env(away) == {"A": "1", "ENABLE_TOOL_SEARCH": "false"}


def test_what_else_was_changed_meanwhile_stays(settings: ClaudeSettings, away: Path) -> None:
    change(away, B="2")
    assert settings.attach_again(ME, BACK)
    settings.release(ME)
    assert env(away) == {"A": "1", "B": "2"}


def test_a_file_that_was_not_there_comes_and_goes(settings: ClaudeSettings, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "settings.json"
    settings.claim(path, ME, URL)
    settings.detach(ME, WHY, NOW)
    assert not (tmp_path / "a").exists()
    assert settings.attach_again(ME, BACK)
    assert env(path)["ANTHROPIC_BASE_URL"] == URL
    settings.release(ME)
    assert not (tmp_path / "a").exists()


Steps = Callable[[ClaudeSettings, int, int], object]


@pytest.mark.parametrize(
    ("steps", "url"),
    [
        (lambda s, a, b: s.detach(a, WHY, NOW), OTHER),
        (lambda s, a, b: s.detach(b, WHY, NOW), URL),
        (lambda s, a, b: (s.detach(a, WHY, NOW), s.attach_again(a, BACK)), OTHER),
        (lambda s, a, b: (s.detach(a, WHY, NOW), s.release(b), s.attach_again(a, BACK)), URL),
        (lambda s, a, b: (s.detach(a, WHY, NOW), s.detach(b, WHY, NOW)), None),
        (lambda s, a, b: (s.detach(b, WHY, NOW), s.detach(a, WHY, NOW)), None),
        (
            lambda s, a, b: (
                s.detach(a, WHY, NOW), s.detach(b, WHY, NOW),
                s.attach_again(a, BACK), s.attach_again(b, BACK),
            ),
            OTHER,
        ),
        (
            lambda s, a, b: (
                s.detach(b, WHY, NOW), s.detach(a, WHY, NOW),
                s.attach_again(b, BACK), s.attach_again(a, BACK),
            ),
            OTHER,
        ),
        (
            lambda s, a, b: (
                s.detach(b, WHY, NOW), s.detach(a, WHY, NOW),
                s.attach_again(a, BACK), s.attach_again(b, BACK),
            ),
            OTHER,
        ),
        (lambda s, a, b: (s.detach(b, WHY, NOW), s.release(a), s.attach_again(b, BACK)), OTHER),
        (lambda s, a, b: (s.detach(b, WHY, NOW), s.release(b)), URL),
    ],
    ids=[
        "earlier", "later", "earlier-returns", "earlier-returns-last", "both", "both-later-first",
        "both-return", "both-return-later-first", "both-return-in-order", "later-returns-alone",
        "later-ends",
    ],
)  # fmt: skip
def test_of_two_proxies_the_one_that_answers_is_used(
    settings: ClaudeSettings,
    path: Path,
    record: Path,
    proxies: Proxies,
    steps: Steps,
    url: str | None,
) -> None:
    """The later one, where both do; and in the end all is as it was."""
    earlier, later = proxies.start(), proxies.start()
    settings.claim(path, earlier, URL)
    settings.claim(path, later, OTHER)
    steps(settings, earlier, later)
    assert env(path).get("ANTHROPIC_BASE_URL") == url
    for pid in (earlier, later):
        settings.release(pid)
    assert path.read_bytes() == ORIGINAL
    assert not record.exists()


def test_a_broken_file_is_put_back_once_it_is_mended(settings: ClaudeSettings, path: Path) -> None:
    settings.claim(path, ME, URL)
    attached = path.read_bytes()
    path.write_text("{")
    with pytest.raises(SettingsError):
        settings.detach(ME, WHY, NOW)
    path.write_bytes(attached)
    assert settings.detach(ME, WHY, NOW)
    assert path.read_bytes() == ORIGINAL


@pytest.mark.parametrize("act", ["detach", "attach_again"])
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_cut_short_at_any_write_it_can_be_done_again(
    settings: ClaudeSettings, path: Path, monkeypatch: pytest.MonkeyPatch, act: str, cut: int
) -> None:
    """As by a guard that is killed: of the file, and of the record."""
    settings.claim(path, ME, URL)
    if act == "attach_again":
        settings.detach(ME, WHY, NOW)
    with monkeypatch.context() as patched:
        _cut_after(patched, settings, cut)
        with pytest.raises(Cut):
            _do(settings, act)
    _do(settings, act)
    assert (path.read_bytes() == ORIGINAL) is (act == "detach")
    settings.release(ME)
    assert path.read_bytes() == ORIGINAL


def _do(settings: ClaudeSettings, act: str) -> None:
    if act == "detach":
        settings.detach(ME, WHY, NOW)
    else:
        assert settings.attach_again(ME, BACK)


def _cut_after(patched: pytest.MonkeyPatch, settings: ClaudeSettings, writes: int) -> None:
    """Break off before the write that follows on so many."""
    left = [writes]

    def counted(write: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            if not left[0]:
                raise Cut
            left[0] -= 1
            return write(*arguments)

        return call

    patched.setattr(settings, "_write", counted(settings._write))
    original = module.edit

    def edit(path: Path, change: Callable[[str | None], str | None]) -> None:
        new = change(path.read_bytes().decode())
        counted(lambda: original(path, lambda _: new))()

    patched.setattr(module, "edit", edit)


def test_an_entry_of_an_older_version_is_understood(
    settings: ClaudeSettings, path: Path, record: Path
) -> None:
    settings.claim(path, ME, URL)
    document = json.loads(record.read_text())
    for name in ("away", "outages"):
        del document["entries"][0][name]
    record.write_bytes(msgspec.json.encode(document))
    assert settings.detach(ME, WHY, NOW)
    assert path.read_bytes() == ORIGINAL
