from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_backend import LARGEST, FileBackend
from neurolink_mitm.adapters.token_store import (
    Credentials,
    TokenStore,
    TokenStoreError,
    open_store,
)
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.redact.secret import Secret
from tests.unprivileged import unprivileged

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


def test_a_file_that_can_not_be_read_is_named(home: Home) -> None:
    put(home.tokens, STORE, 0o000)
    with (
        unprivileged(),
        pytest.raises(TokenStoreError, match=f"can't read {home.tokens}: Permission denied"),
    ):
        TokenStore(home).read()


NEW = Tokens(Secret("sk-ant-oat-test-new"), Secret("sk-ant-ort-test-new"), 2000.0)
LOGIN = StoredAccount("home", Secret("sk-ant-oat-test-home"), Secret("sk-ant-ort-test-home"), 9.0)


def entry(home: Home, label: str = "work") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(home.tokens.read_bytes())["providers"][f"anthropic:{label}"]
    return found


def labels(store: TokenStore) -> list[str]:
    return [login.label for login in store.read().stored]


CHANGES: dict[str, Callable[[TokenStore], object]] = {
    "save": lambda store: store.save(LOGIN),
    "replace_tokens": lambda store: store.replace_tokens("work", NEW),
    "remove": lambda store: store.remove("work"),
    "disable": lambda store: store.disable("work", "why", 1.0),
    "enable": lambda store: store.enable("work"),
    "note_failure": lambda store: store.note_failure("work"),
}


def test_the_first_login_makes_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    TokenStore(home, now=lambda: 5.0).save(LOGIN)
    assert TokenStore(home).read().stored == (LOGIN,)
    assert json.loads(home.tokens.read_bytes())["lastModified"] == 5000
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700


def test_a_login_stands_beside_others_or_in_place_of_its_own(home: Home) -> None:
    put(home.tokens, STORE)
    store = TokenStore(home)
    store.save(LOGIN)
    store.save(replace(LOGIN, access_token=Secret("sk-ant-oat-test-again")))
    assert labels(store) == ["work", "home"]
    assert entry(home, "home")["tokens"]["accessToken"] == "sk-ant-oat-test-again"


def test_new_tokens(home: Home) -> None:
    put(home.tokens, STORE)
    TokenStore(home).replace_tokens("work", NEW)
    (login,) = TokenStore(home).read().stored
    assert (login.access_token, login.refresh_token, login.expires_at) == (
        NEW.access_token, NEW.refresh_token, NEW.expires_at,
    )  # fmt: skip


def test_new_tokens_of_nobody(home: Home) -> None:
    put(home.tokens, STORE)
    assert not TokenStore(home).replace_tokens("x", NEW)


def test_new_tokens_of_a_store_that_was_moved_away(home: Home) -> None:
    """Nobody logged out: they are to be tried again."""
    with pytest.raises(TokenStoreError, match=r"tokens\.json is not there"):
        TokenStore(home).replace_tokens("work", NEW)


def test_what_became_of_one_login_does_not_touch_the_next(home: Home) -> None:
    store, spent = TokenStore(home), Secret("sk-ant-ort-test-spent")
    store.save(LOGIN)
    assert not store.replace_tokens(LOGIN.label, NEW, spent)
    assert not store.disable(LOGIN.label, "needs login", 1.0, spent)
    assert store.note_failure(LOGIN.label, spent) == 0
    assert store.read().stored == (LOGIN,)
    assert store.note_failure(LOGIN.label, LOGIN.refresh_token) == 1


def test_remove(home: Home) -> None:
    put(home.tokens, STORE)
    store = TokenStore(home)
    assert [store.remove("work"), store.remove("work")] == [True, False]
    assert store.read() == Credentials()


def test_the_legacy_login_is_removed_with_its_file(home: Home) -> None:
    put(home.legacy_credentials, LEGACY)
    store = TokenStore(home)
    assert [store.remove("default"), store.remove("default")] == [True, False]
    assert store.read() == Credentials()


def test_the_mark_is_read_by_others_and_taken_away(home: Home) -> None:
    put(home.tokens, STORE)
    store = TokenStore(home)
    assert store.disable("work", "needs login", 1.5)
    assert TokenStore(home).read().stored[0].disabled == "needs login"
    assert entry(home)["disabled"]["at"] == 1500
    assert store.enable("work")
    assert TokenStore(home).read().stored[0].disabled is None


def test_failures_survive_and_are_forgotten(home: Home) -> None:
    put(home.tokens, STORE)
    assert [TokenStore(home).note_failure("work") for _ in range(3)] == [1, 2, 3]
    assert TokenStore(home).failures("work") == 3
    TokenStore(home).replace_tokens("work", NEW)
    assert TokenStore(home).failures("work") == 0
    TokenStore(home).note_failure("work")
    TokenStore(home).enable("work")
    assert TokenStore(home).failures("work") == 0


def test_what_changes_nothing_writes_nothing(home: Home) -> None:
    put(home.tokens, STORE)
    before = home.tokens.stat().st_mtime_ns, home.tokens.stat().st_ino
    store = TokenStore(home)
    assert not store.disable("x", "why", 1.0)
    assert store.note_failure("x") == 0
    assert store.enable("work")
    after = home.tokens.stat()  # without the time of the last look
    assert (after.st_mtime_ns, after.st_ino) == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_broken_file_is_set_aside_and_reported_once(home: Home, change: str) -> None:
    put(home.tokens, "{hunter2")
    store = TokenStore(home, now=lambda: 77.0)
    with pytest.raises(
        TokenStoreError, match=r"was set aside as .*tokens\.json\.corrupt-77"
    ) as caught:
        CHANGES[change](store)
    assert "hunter2" not in str(caught.value)
    assert home.tokens.with_name("tokens.json.corrupt-77").read_text() == "{hunter2"
    assert not home.tokens.exists()
    store.save(LOGIN)
    assert labels(store) == ["home"]


def test_a_second_broken_file_does_not_replace_the_first(home: Home) -> None:
    store = TokenStore(home, now=lambda: 77.0)
    for content in ("first", "second"):
        put(home.tokens, content)
        with pytest.raises(TokenStoreError):
            store.save(LOGIN)
    assert home.tokens.with_name("tokens.json.corrupt-77").read_text() == "first"
    assert home.tokens.with_name("tokens.json.corrupt-78").read_text() == "second"


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_every_file_is_0600_from_its_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looked at while the temporary file is still empty, and at everything that is left."""
    home = Home(tmp_path / "new")
    early: list[int] = []
    fdopen = os.fdopen

    def look(descriptor: int, how: str) -> object:
        early.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return fdopen(descriptor, how)

    monkeypatch.setattr(os, "fdopen", look)
    TokenStore(home).save(LOGIN)
    with TokenStore(home).refresh_lock("home"):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.root.iterdir()}
    assert modes["tokens.json"] == 0o600
    assert [mode & 0o177 for mode in [*early, *modes.values()]] == [0] * (len(modes) + 1)


def test_a_full_disk_is_one_clear_line(home: Home) -> None:
    put(home.tokens, STORE)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(TokenStoreError) as caught:
            TokenStore(home).replace_tokens("work", NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(caught.value) == f"can't write {home.tokens}: File too large"
    assert home.tokens.read_text() == STORE


def test_a_directory_in_its_place_can_not_be_written(home: Home) -> None:
    home.tokens.mkdir()
    with pytest.raises(TokenStoreError, match=f"can't write {home.tokens}: Is a directory"):
        TokenStore(home).save(LOGIN)


def test_writers_wait_for_one_another(home: Home) -> None:
    """Each of many threads adds to what the others have written."""
    store = TokenStore(home)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.save(replace(LOGIN, label=f"a{n}")), range(24)))
    assert sorted(labels(store)) == sorted(f"a{n}" for n in range(24))


def test_a_refresh_lock_is_of_one_account_and_any_thread(home: Home) -> None:
    one, same, other = (TokenStore(home).refresh_lock(label) for label in ("a/b", "a/b", "c"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(one.acquire).result()
    with pytest.raises(Timeout):
        same.acquire(timeout=0)
    with other:
        one.release()
    with same:
        pass


def test_killed_at_any_step_of_a_write(home: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.claude_code.killing", "write", str(home.root)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["code"] for step in steps] == [-signal.SIGKILL] * (len(steps) - 1) + [0]
    assert len(steps) > 8
    assert [step["known"] for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        old = [f"sk-ant-oat-test-{step['label']}", f"sk-ant-ort-test-{step['label']}"]
        assert step["tokens"] in (old, [f"{token}-2" for token in old])
    kept = {step["tokens"][0].endswith("-2") for step in steps[:-1]}
    assert kept == {False, True}, "it was killed before the change, and after it"
    TokenStore(home).save(LOGIN)
    assert [path.name for path in home.root.glob("*.tmp")] == []
    assert [path.name for path in home.root.glob(".*.tmp")] == []


@pytest.mark.parametrize("value", ["", "file", " File "])
def test_a_file_is_the_default(home: Home, value: str) -> None:
    open_store(home, {"NEUROLINK_TOKEN_STORE": value}).save(LOGIN)
    open_store(home, {}).save(LOGIN)
    assert home.tokens.exists()


def test_an_unknown_kind_of_store_is_an_error(home: Home) -> None:
    with pytest.raises(TokenStoreError, match="must be file or keyring, got 'cloud'"):
        open_store(home, {"NEUROLINK_TOKEN_STORE": "cloud"})


def test_no_error_and_no_repr_shows_a_token(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    put(home.tokens, STORE)
    store = TokenStore(home)
    said = [repr(store), repr(store.read()), repr(NEW), str(LOGIN)]
    put(home.tokens, STORE[:-1])
    for change in (store.save, store.remove):
        put(home.tokens, STORE[:-1])
        with pytest.raises(TokenStoreError) as caught:
            change(LOGIN if change == store.save else "work")  # type: ignore[operator]
        said.append("".join(traceback.format_exception(caught.value)))
    assert "sk-ant" not in "\n".join(said) + caplog.text


def test_what_a_program_without_our_lock_writes_meanwhile_is_kept(home: Home) -> None:
    """Ours changes what is there then."""
    put(home.tokens, STORE)

    class Overtaken(FileBackend):
        def replace(self, seen: bytes | None, data: bytes) -> None:
            if b"foreign" not in (seen or b""):
                put(home.tokens, STORE.replace("anthropic:work", "anthropic:foreign"))
            super().replace(seen, data)

    store = TokenStore(home, Overtaken(home.tokens))
    store.watch(store.read().revision)
    store.save(StoredAccount("new", Secret("sk-ant-test-new")))
    assert [each.label for each in store.read().stored] == ["foreign", "new"]
    assert not store.is_own_change()
