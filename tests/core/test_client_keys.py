from __future__ import annotations

import pytest

from neurolink_mitm.core.client_keys import PREFIX, ClientKey, digest, encode, parse
from neurolink_mitm.core.redact.text import redact
from tests.fakes import NOW

KEY = PREFIX + "a" * 43


def test_a_key_matches_and_no_other() -> None:
    client = ClientKey("laptop", digest(KEY), NOW)
    assert client.matches(KEY)
    assert not any(map(client.matches, (KEY[:-1], KEY + "a", "", client.digest, "\udcff")))


def test_what_is_written_is_read() -> None:
    keys = (ClientKey("laptop", digest(KEY), NOW), ClientKey("büro", digest("x"), NOW + 0.5))
    assert parse(encode(keys)) == keys
    assert KEY.encode() not in encode(keys)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"clients":[{"name":"a"}]}', b'{"version":2,"clients":[]}', b"\xff"],
    ids=repr,
)
def test_what_is_no_such_file(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(data)


def test_a_key_is_starred_wherever_it_turns_up() -> None:
    assert KEY not in redact(f"x {KEY} y")
