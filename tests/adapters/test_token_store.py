from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import LARGEST, Credentials, TokenStore, TokenStoreError

TOKENS = {"accessToken": "sk-ant-oat-test-hunter2", "refreshToken": "r", "expiresAt": 1000}
STORE = json.dumps({"version": "2.0", "providers": {"anthropic:work": {"tokens": TOKENS}}})
LEGACY = json.dumps({"oauth": TOKENS})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def put(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


def test_missing_files_hold_nothing(home: Home) -> None:
    assert TokenStore(home).read() == Credentials((), None, ())


def test_a_missing_home_holds_nothing(tmp_path: Path) -> None:
    assert TokenStore(Home(tmp_path / "none")).read() == Credentials()


def test_both_files_are_read(home: Home) -> None:
    put(home.tokens, STORE)
    put(home.legacy_credentials, LEGACY)
    found = TokenStore(home).read()
    assert [login.label for login in found.stored] == ["work"]
    assert found.legacy is not None
    assert found.legacy.expires_at == 1.0
    assert found.warnings == ()


@pytest.mark.parametrize("content", ["", "{", "hunter2", b"\xff", '{"providers": []}', "[]"])
@pytest.mark.parametrize("file", ["tokens", "legacy_credentials"])
def test_a_broken_file_is_named_and_left_as_it_is(home: Home, file: str, content: str) -> None:
    if (file, content) == ("legacy_credentials", '{"providers": []}'):
        content = '{"oauth": []}'
    path: Path = getattr(home, file)
    put(path, content)
    before = path.read_bytes()
    with pytest.raises(TokenStoreError) as caught:
        TokenStore(home).read()
    assert str(caught.value).startswith(f"{path} is broken and was left as it is: ")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(home.root) == [path.name]


@pytest.mark.parametrize(
    ("mode", "warns"),
    [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o644, True), (0o610, True)],
    ids=lambda value: oct(value) if type(value) is int else "",
)
def test_a_file_open_to_others_draws_a_warning(home: Home, mode: int, warns: bool) -> None:
    put(home.tokens, STORE, mode)
    expected = f"{home.tokens} is open to others (mode {mode:04o}): run chmod 600 {home.tokens}"
    found = TokenStore(home).read()
    assert found.warnings == ((expected,) if warns else ())
    assert len(found.stored) == 1


def test_a_file_that_is_too_large_is_not_read(home: Home) -> None:
    put(home.tokens, " " * (LARGEST + 1))
    with pytest.raises(TokenStoreError, match="larger than"):
        TokenStore(home).read()


def test_a_directory_in_its_place_is_named(home: Home) -> None:
    home.tokens.mkdir()
    with pytest.raises(TokenStoreError, match=f"can't read {home.tokens}: Is a directory"):
        TokenStore(home).read()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_can_not_be_read_is_named(home: Home) -> None:
    put(home.tokens, STORE, 0o000)
    with pytest.raises(TokenStoreError, match=f"can't read {home.tokens}: Permission denied"):
        TokenStore(home).read()
