from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.cluster.home.seal import BrokenSealError, OtherKeyError, Sealer
from neurolink_mitm.core.redact.secret import Secret

KEY = Secret(base64.b64encode(b"k" * 32).decode())
OTHER = Secret(base64.b64encode(b"o" * 32).decode())
PLACE = ("logins", "work", 7)
hidden = pytest.mark.parametrize("hidden", [True, False], ids=["hidden", "signed"])


@hidden
@given(plain=st.binary(max_size=100), name=st.text(max_size=20), generation=st.integers(0, 2**63))
def test_what_was_sealed_opens(hidden: bool, plain: bytes, name: str, generation: int) -> None:
    place, sealer = ("logins", name, generation), Sealer(KEY, "nl")
    assert sealer.open(place, sealer.seal(place, plain, hidden=hidden), hidden=hidden) == plain


@hidden
@pytest.mark.parametrize(
    ("namespace", "place"),
    [
        ("nl2", PLACE),
        ("nl", ("clients", "work", 7)),
        ("nl", ("logins", "home", 7)),
        ("nl", ("logins", "work", 8)),
        ("nl", ("logi", "nswork", 7)),
    ],
    ids=["namespace", "kind", "name", "generation", "boundary"],
)
def test_an_entry_opens_in_its_place_only(
    hidden: bool, namespace: str, place: tuple[str, str, int]
) -> None:
    sealed = Sealer(KEY, "nl").seal(PLACE, b"token", hidden=hidden)
    with pytest.raises(BrokenSealError):
        Sealer(KEY, namespace).open(place, sealed, hidden=hidden)


@hidden
@given(st.data())
def test_no_changed_byte_passes(hidden: bool, data: st.DataObject) -> None:
    sealed = bytearray(Sealer(KEY, "nl").seal(PLACE, b"token", hidden=hidden))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises((BrokenSealError, OtherKeyError)):
        Sealer(KEY, "nl").open(PLACE, bytes(sealed), hidden=hidden)


@hidden
@given(st.binary(max_size=80))
def test_hostile_bytes_are_refused(hidden: bool, sealed: bytes) -> None:
    for content in (sealed, Sealer(KEY, "nl").key_id + sealed):
        with pytest.raises((BrokenSealError, OtherKeyError)):
            Sealer(KEY, "nl").open(PLACE, content, hidden=hidden)


@hidden
def test_another_key_is_told_apart(hidden: bool) -> None:
    sealed = Sealer(KEY, "nl").seal(PLACE, b"token", hidden=hidden)
    with pytest.raises(OtherKeyError):
        Sealer(OTHER, "nl").open(PLACE, sealed, hidden=hidden)


def test_a_signed_entry_is_no_hidden_one() -> None:
    sealer = Sealer(KEY, "nl")
    with pytest.raises(BrokenSealError):
        sealer.open(PLACE, sealer.seal(PLACE, b"token", hidden=False), hidden=True)


def test_nothing_of_a_token_is_seen_and_no_seal_is_like_another() -> None:
    sealer = Sealer(KEY, "nl")
    one, two = (sealer.seal(PLACE, b"sk-ant-oat-secret", hidden=True) for _ in "12")
    assert one[8:] != two[8:]
    assert b"sk-ant" not in one
    assert sealer.digest(Secret("a")) != Sealer(OTHER, "nl").digest(Secret("a"))
