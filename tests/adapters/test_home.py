from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from tests.unprivileged import unprivileged


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"HOME": "/h"}, "/h/.neurolink"),
        ({"HOME": "/h", "NEUROLINK_HOME": "/n"}, "/n"),
        ({"NEUROLINK_HOME": "/n"}, "/n"),
        ({"HOME": "/h", "NEUROLINK_HOME": ""}, "/h/.neurolink"),
        ({"HOME": "/h", "NEUROLINK_HOME": "~/x"}, "/h/x"),
        ({"HOME": "/h", "NEUROLINK_HOME": "~"}, "/h"),
    ],
    ids=["default", "chosen", "without-home", "empty", "tilde", "tilde-only"],
)
def test_where_home_is(env: dict[str, str], expected: str) -> None:
    assert Home.from_environment(env).root == Path(expected)


def test_a_relative_home_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.from_environment({"NEUROLINK_HOME": "state"}).root == tmp_path / "state"


@pytest.mark.parametrize("env", [{}, {"HOME": ""}, {"HOME": "", "NEUROLINK_HOME": ""}])
def test_an_environment_without_home_is_told_what_to_set(env: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="set NEUROLINK_HOME to the directory"):
        Home.from_environment(env)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("tokens", "tokens.json"),
        ("legacy_credentials", "anthropic-credentials.json"),
        ("config", "proxy-config.yaml"),
        ("env", ".env"),
        ("state", "proxy-state.json"),
        ("quotas", "account-quotas.json"),
        ("cooldowns", "cooldowns.json"),
        ("windows", "windows.jsonl"),
        ("logs", "logs"),
    ],
)
def test_what_lies_in_it(name: str, file: str) -> None:
    assert getattr(Home(Path("/n")), name) == Path("/n") / file


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> object:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_it_is_created_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    assert home.create() == ()
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_creating_it_again_changes_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "n")
    home.create()
    home.tokens.write_bytes(b"x")
    assert home.create() == ()
    assert home.tokens.read_bytes() == b"x"


def test_a_directory_open_to_others_draws_a_warning_and_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (warning,) = Home(tmp_path).create()
    assert warning == f"{tmp_path} is open to others (mode 0755): run chmod 700 {tmp_path}"
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file is not a directory: let NEUROLINK_HOME name"):
        Home(tmp_path / "file").create()
    with pytest.raises(OSError, match="file is not a directory"):
        Home(tmp_path / "file" / "n").create()


def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with unprivileged(), pytest.raises(OSError, match=r"can't create .*n: Permission denied"):
        Home(tmp_path / "n").create()
    tmp_path.chmod(0o700)


def test_a_place_that_can_not_exist_is_told() -> None:
    with pytest.raises(OSError, match="can't create /proc/none/n: "):
        Home(Path("/proc/none/n")).create()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tokens.json", True),
        ("tokens.json.lock", True),
        ("tokens.json.corrupt-1760000000", True),
        (".tokens.json.abc.tmp", True),
        (".env", True),
        ("guard-4711.lock", True),
        (".refresh-0123456789abcdef.lock", True),
        (".keyring-changed", True),
        ("spend.json", True),
        ("spend.json.lock", True),
        ("clients.json", True),
        ("proxy-config.edit.yaml", True),
        ("logs", True),
        ("tokens.json.bak", False),
        ("guard-4711", False),
        ("notes", False),
        (".git", False),
    ],
)
def test_what_is_ours(tmp_path: Path, name: str, expected: bool) -> None:
    assert Home(tmp_path).owns(name) is expected


def test_what_is_ours_is_removed_and_the_directory_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    (home.logs / "bodies").mkdir(parents=True)
    home.tokens.touch()
    assert home.remove() == ()
    assert not home.root.exists()


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    for name in ("tokens.json", "thesis.tex"):
        (home.root / name).touch()
    assert home.remove() == ("thesis.tex",)
    assert [each.name for each in home.root.iterdir()] == ["thesis.tex"]


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    home.logs.symlink_to(elsewhere)
    assert home.remove() == ()
    assert (elsewhere / "kept").exists()
