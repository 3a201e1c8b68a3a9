from __future__ import annotations

import msgspec
import pytest

from neurolink_mitm.core.auth.client_keys import (
    CLIENT_KEY_PREFIX,
    ClientKey,
    digest,
    encode_client_keys,
    parse_client_keys,
)
from neurolink_mitm.core.redact.text import redact
from tests.fakes import NOW

KEY = CLIENT_KEY_PREFIX + "a" * 43
LIMITED = ClientKey(
    "bob", digest(KEY), NOW, ("claude-haiku-*",), rate=30, daily_cap_usd=2.5, hold=900
)


def test_a_key_matches_and_no_other() -> None:
    client = ClientKey("laptop", digest(KEY), NOW)
    assert client.matches(KEY)
    assert not any(map(client.matches, (KEY[:-1], KEY + "a", "", client.digest, "\udcff")))


def test_what_is_written_is_read() -> None:
    keys = (LIMITED, ClientKey("büro", digest("x"), NOW + 0.5))
    assert parse_client_keys(encode_client_keys(keys)) == keys
    assert KEY.encode() not in encode_client_keys(keys)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"clients":[{"name":"a"}]}', b'{"version":2,"clients":[]}', b"\xff"],
    ids=repr,
)
def test_what_is_no_such_file(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_client_keys(data)


def test_a_key_is_starred_wherever_it_turns_up() -> None:
    assert KEY not in redact(f"x {KEY} y")


def test_what_a_newer_version_wrote_stays() -> None:
    newer = {
        "version": 1,
        "team": {"a": 1},
        "clients": [{"name": "a", "sha256": "x", "createdAt": 5, "tokensADay": [1], "rate": 3}],
    }
    data = msgspec.json.encode(newer)
    keys = parse_client_keys(data)
    assert (keys[0].rate, keys[0].other) == (3, {"tokensADay": [1]})
    assert msgspec.json.decode(encode_client_keys(keys, data)) == newer


@pytest.mark.parametrize(
    "limit",
    ['"rate":0', '"rate":1.5', '"rate":"9"', '"dailyCapUsd":-1', '"dailyCapUsd":1e999', '"dailyCapUsd":1e308',
     f'"createdAt":{10**400}', '"dailyCapUsd":NaN', '"hold":-1', '"models":"a"', '"models":[""]', '"models":[1]'],
)  # fmt: skip
def test_a_limit_that_is_none_breaks_the_file(limit: str) -> None:
    """A limit that was left out instead would open what its owner has closed."""
    data = f'{{"clients":[{{"name":"a","sha256":"x","createdAt":5,{limit}}}]}}'
    with pytest.raises(ValueError, match=r"\w"):
        parse_client_keys(data.encode())
