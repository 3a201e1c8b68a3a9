from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_backend import SERVICE, FileBackend
from neurolink_mitm.adapters.token_store import TokenStore, TokenStoreError, open_store
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret

LOGIN = StoredAccount("work", Secret("sk-ant-oat-test"), Secret("sk-ant-ort-test"), 9.0)


class StateStore(KeyringBackend):
    """A keyring that forgets, or is locked."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.fault: type[Exception] | None = None

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.kept[service, username]

    def _check(self) -> None:
        if self.fault:
            raise self.fault("sk-ant-oat-test")


@pytest.fixture
def ring() -> Iterator[StateStore]:
    before, memory = keyring.get_keyring(), StateStore()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def root(tmp_path: Path) -> Home:
    return Home(tmp_path)


def store_of(home: Home) -> TokenStore:
    return open_store(home, {"NEUROLINK_TOKEN_STORE": "keyring"}, lambda: 77.0)


def test_a_keyring_holds_the_document_and_the_home_does_not(ring: StateStore, root: Home) -> None:
    store_of(root).save(LOGIN)
    assert store_of(root).read().stored == (LOGIN,)
    assert list(ring.kept) == [(SERVICE, str(root.root))]
    for path in root.root.iterdir():
        assert path.read_bytes() == b"" or b"sk-ant" not in path.read_bytes()
    assert not root.tokens.exists()


def test_a_change_in_the_keyring_can_be_watched(ring: StateStore, root: Home) -> None:
    """And one that can't be announced is made all the same."""
    store_of(root).save(LOGIN)
    before = root.keyring_changed.stat()
    store_of(root).disable("work", "by hand", 9.0)
    assert root.keyring_changed.stat().st_ino != before.st_ino
    root.keyring_changed.unlink()
    root.keyring_changed.mkdir()
    store_of(root).enable("work")
    assert store_of(root).read().stored == (LOGIN,)


def test_an_empty_keyring_holds_nothing(ring: StateStore, root: Home) -> None:
    assert store_of(root).read().stored == ()
    assert ring.kept == {}


def test_it_is_deleted_without_a_trace(ring: StateStore, root: Home) -> None:
    store_of(root).save(LOGIN)
    store_of(root).delete()
    assert ring.kept == {}
    store_of(root).delete()
    assert store_of(root).read().stored == ()


def test_every_home_has_its_own(ring: StateStore, tmp_path: Path) -> None:
    store_of(Home(tmp_path / "a")).save(LOGIN)
    assert store_of(Home(tmp_path / "b")).read().stored == ()
    assert len(ring.kept) == 1


def test_a_broken_document_is_set_aside_there(ring: StateStore, root: Home) -> None:
    ring.kept[SERVICE, str(root.root)] = "{broken"
    with pytest.raises(TokenStoreError, match="is broken and was left as it is"):
        store_of(root).read()
    with pytest.raises(TokenStoreError, match=r"was set aside as .*corrupt-77"):
        store_of(root).save(LOGIN)
    assert ring.kept == {(SERVICE, f"{root.root}.corrupt-77"): "{broken"}
    store_of(root).save(LOGIN)
    assert store_of(root).read().stored == (LOGIN,)


@pytest.mark.parametrize("fault", [KeyringLocked, RuntimeError])
def test_a_fault_of_the_keyring_is_a_clear_error_without_its_words(
    ring: StateStore, root: Home, fault: type[Exception]
) -> None:
    """One of keyring's own, or what a backend lets through of its system's."""
    ring.fault = fault
    with pytest.raises(TokenStoreError) as caught:
        store_of(root).read()
    assert "can't read the keyring's" in str(caught.value)
    assert fault.__name__ in str(caught.value)
    assert "sk-ant" not in str(caught.value)
    with pytest.raises(TokenStoreError, match="can't write the keyring's"):
        store_of(root).save(LOGIN)
    with pytest.raises(TokenStoreError, match="can't delete the keyring's"):
        store_of(root).delete()


def test_without_keyring_it_says_how_to_get_it(root: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(TokenStoreError, match=r"pip install 'neurolink-mitm\[keyring\]'"):
        store_of(root)


def test_a_file_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "f")
    backend = FileBackend(tmp_path / "link")
    (tmp_path / "real" / ".f.left.tmp").write_text("of one that was killed")
    backend.replace(None, b"x")
    assert (backend.load(), [p.name for p in (tmp_path / "real").iterdir()]) == (b"x", ["f"])


def test_our_own_write_of_a_keyring_is_recognised(ring: StateStore, root: Home) -> None:
    store = store_of(root)
    store.save(LOGIN)
    store.watch(store.read().revision)
    store.note_failure("work")
    assert store.is_own_change()
    store_of(root).note_failure("work")
    assert not store.is_own_change()
