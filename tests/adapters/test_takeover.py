from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import keyring
import pytest

from neurolink_mitm.adapters.files import ChangedError
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.takeover import Takeover, home_directories
from neurolink_mitm.adapters.token_backend import FileBackend
from neurolink_mitm.adapters.token_store import (
    StoreInUseError,
    TokenStore,
    TokenStoreError,
    open_store,
)
from neurolink_mitm.core.auth.original_store import NEVER
from tests.filed_keyring import FILE, FiledKeyring
from tests.obfuscated import obfuscate

LOGIN = {"accessToken": "sk-ant-oat-test-1", "refreshToken": "sk-ant-ort-test-1", "expiresAt": 1e12}
KEY = {"accessToken": "sk-ant-api-test-1", "expiresAt": NEVER, "tokenType": "api-key"}
PROVIDERS = {"anthropic:work": {"tokens": LOGIN}, "anthropic:key": {"tokens": KEY}}


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def home(user: Path) -> Home:
    home = Home(user / ".neurolink")
    home.create()
    return home


def original(providers: dict[str, Any], user: Path) -> bytes:
    return obfuscate(json.dumps({"version": "2.0", "providers": providers}), str(user))


def opened(home: Home, user: Path, **variables: str) -> TokenStore:
    return open_store(home, {"HOME": str(user), **variables})


def backups(home: Home) -> list[Path]:
    return sorted(home.root.glob("tokens.json.original-*"))


def test_the_first_read_takes_it_over_and_keeps_the_old_file(
    home: Home, user: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = original(PROVIDERS | {"openai": {"tokens": {"accessToken": "hunter2"}}}, user)
    home.tokens.write_bytes(old)
    for _ in range(2):
        assert [each.label for each in opened(home, user).read().stored] == ["work", "key"]
    (backup,) = backups(home)
    assert backup.read_bytes() == old
    assert [stat.S_IMODE(path.stat().st_mode) for path in (backup, home.tokens)] == [0o600, 0o600]
    assert b"hunter2" not in home.tokens.read_bytes()
    assert json.loads(home.tokens.read_bytes())["lastModified"] > 0
    (line,) = (record.getMessage() for record in caplog.records)
    assert line == (
        "taken over from the original NeuroLink: 2 accounts (work, key);"
        f" its file is kept as {backup.name}, and only there what it has of other providers: openai"
    )
    assert home.owns(backup.name)


def test_a_change_takes_it_over_too(home: Home, user: Path) -> None:
    home.tokens.write_bytes(original(PROVIDERS, user))
    assert opened(home, user).disable("work", "why", 1.0)
    assert len(backups(home)) == 1


@pytest.mark.parametrize("done", ["nothing", "copied"])
def test_a_takeover_that_was_cut_off_goes_on(home: Home, user: Path, done: str) -> None:
    old = original(PROVIDERS, user)
    home.tokens.write_bytes(old)
    if done == "copied":
        (home.root / "tokens.json.original-5").write_bytes(old)
    (home.root / "tokens.json.original-4").write_bytes(b"an earlier one")
    assert len(opened(home, user).read().stored) == 2
    assert len(backups(home)) == 2
    assert old in [backup.read_bytes() for backup in backups(home)]


def test_a_file_that_changes_meanwhile_is_not_overwritten(home: Home, user: Path) -> None:
    home.tokens.write_bytes(original(PROVIDERS, user))

    def changes() -> None:
        home.tokens.write_bytes(b"newer")

    with pytest.raises(ChangedError):
        Takeover(home, {"HOME": str(user)}, changes).run(FileBackend(home.tokens))
    assert home.tokens.read_bytes() == b"newer"


@pytest.mark.parametrize(
    "content",
    [b"A" * 200, obfuscate('{"version":"2.0","providers":{"anthropic:a":{"tokens":{}}}}', "/x")],
    ids=["no key fits", "another home"],
)
def test_what_can_not_be_understood_stays(home: Home, user: Path, content: bytes) -> None:
    home.tokens.write_bytes(content)
    store = opened(home, user)
    with pytest.raises(TokenStoreError, match="is broken and was left as it is"):
        store.read()
    with pytest.raises(TokenStoreError, match="is broken and was left as it is"):
        store.disable("work", "why", 1.0)
    assert os.listdir(home.root) == ["tokens.json"]
    assert home.tokens.read_bytes() == content


def test_nothing_is_done_while_the_original_runs(home: Home, user: Path) -> None:
    """By the pid in its state file; a pid that has ended since counts for nothing."""
    old = original(PROVIDERS, user)
    home.tokens.write_bytes(old)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        state = {"pid": process.pid, "port": 55669, "startTime": "2026-01-01T00:00:00.000Z"}
        home.state.write_text(json.dumps(state))
        with pytest.raises(TokenStoreError, match=rf"which runs \(process {process.pid}\b"):
            opened(home, user).read()
        assert home.tokens.read_bytes() == old
        assert backups(home) == []
        assert opened(home, user).take_over(force=True) is not None
        home.tokens.write_bytes(old)
        process.communicate(b"\n")
    assert len(opened(home, user).read().stored) == 2


@pytest.mark.parametrize("kind", ["login", "key"])
def test_a_legacy_login_is_left_to_the_original_while_that_runs(
    home: Home, user: Path, kind: str
) -> None:
    legacy = {"oauth": LOGIN} if kind == "login" else {"type": "api-key", "apiKey": "sk-ant-k"}
    home.legacy_credentials.write_text(json.dumps(legacy))
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        home.state.write_text(json.dumps({"pid": process.pid}))
        if kind == "login":
            with pytest.raises(StoreInUseError, match="which runs"):
                opened(home, user).read()
        else:
            assert opened(home, user).read().legacy is not None
        process.communicate()
    assert opened(home, user).read().legacy is not None


def test_it_moves_into_the_keyring(home: Home, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FILE, str(user / "keyring.json"))
    before = keyring.get_keyring()
    keyring.set_keyring(FiledKeyring())
    try:
        home.tokens.write_bytes(original(PROVIDERS, user))
        store = opened(home, user, NEUROLINK_TOKEN_STORE="keyring")
        assert [each.label for each in store.read().stored] == ["work", "key"]
        assert not home.tokens.exists()
        assert len(backups(home)) == 1
    finally:
        keyring.set_keyring(before)


def test_home_directories_are_those_the_key_may_be_made_from(tmp_path: Path) -> None:
    found = home_directories({"HOME": "/home/me/"}, tmp_path / "nl")
    assert list(found[:3]) == ["/home/me/", "/home/me", str(tmp_path)]
