from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.credentials import parse_token_store
from neurolink_mitm.core.auth.original_store import NEVER, Conversion, convert
from neurolink_mitm.core.redact.secret import Secret
from tests.linear import assert_linear
from tests.obfuscated import obfuscate

HOME = "/home/jö"
LOGIN = {
    "accessToken": "sk-ant-oat-test-1",
    "refreshToken": "sk-ant-ort-test-1",
    "expiresAt": 1_900_000_000_000,
    "tokenType": "Bearer",
    "scope": "user:inference tier:max email:me@example.com",
}
KEY = {"accessToken": "sk-ant-api-test-1", "expiresAt": NEVER, "tokenType": "api-key"}
TIMES = {"createdAt": 7, "lastAccessed": 8}


def document(**providers: Any) -> str:
    named = {key.replace("_", ":"): entry for key, entry in providers.items()}
    return json.dumps({"version": "2.0", "lastModified": 9, "providers": named})


def converted(text: str, *, hidden: bool = False) -> Conversion:
    data = obfuscate(text, HOME) if hidden else text.encode()
    conversion = convert(data, ["/elsewhere", HOME])
    assert conversion is not None
    again = convert(conversion.data, [HOME])
    assert again is None, "what was converted is ours"
    return conversion


def entries(conversion: Conversion) -> dict[str, Any]:
    return dict(json.loads(conversion.data)["providers"])


def test_an_obfuscated_store_is_read_with_its_home_directory() -> None:
    new = converted(document(anthropic_work={"tokens": LOGIN, **TIMES}), hidden=True)
    (account,) = parse_token_store(new.data)
    assert (account.label, account.type, account.expires_at) == ("work", "oauth", 1_900_000_000)
    assert (account.email, account.plan) == ("me@example.com", "max")
    assert account.refresh_token == Secret("sk-ant-ort-test-1")
    assert entries(new)["anthropic:work"] | TIMES == entries(new)["anthropic:work"]
    assert entries(new)["anthropic:work"]["tokens"]["scope"] == "user:inference"


def test_a_disabled_account_stays_disabled_and_an_enabled_one_serves() -> None:
    off = {"tokens": LOGIN, "disabled": True, "disabledAt": 5, "disabledReason": "refresh_failed"}
    new = converted(document(anthropic_off=off, anthropic_on={"tokens": LOGIN, "disabled": False}))
    assert entries(new)["anthropic:off"]["disabled"] == {
        "at": 5,
        "reason": "by the original NeuroLink: refresh_failed",
    }
    assert [each.disabled is None for each in parse_token_store(new.data)] == [False, True]


@pytest.mark.parametrize(
    "entry",
    [
        {"tokens": KEY},
        {"tokens": {**KEY, "tokenType": "x"}},
        {"type": "api-key", "apiKey": "sk-ant-api-test-1"},
        {"tokens": {**KEY, "expiresAt": 1_900_000_000_000}, "type": "api-key"},
    ],
    ids=["never", "never alone", "legacy", "type"],
)
def test_an_api_key_has_no_end(entry: dict[str, Any]) -> None:
    (account,) = parse_token_store(converted(document(anthropic_k=entry)).data)
    assert (account.type, account.access_token) == ("api_key", Secret("sk-ant-api-test-1"))
    ends = entry.get("tokens", {}).get("expiresAt") == 1_900_000_000_000
    assert (account.expires_at is not None) == ends


def test_legacy_credentials_in_place_of_the_store_are_one_account() -> None:
    text = json.dumps({"type": "api-key", "apiKey": "sk-ant-api-test-1", "email": "me@example.com"})
    (account,) = parse_token_store(converted(text).data)
    assert (account.label, account.email) == ("me@example.com", "me@example.com")
    (login,) = parse_token_store(converted(json.dumps({"type": "oauth", "oauth": LOGIN})).data)
    assert (login.label, login.type) == ("default", "oauth")


def test_an_entry_of_ours_stays_as_it_stands_beside_one_of_the_original() -> None:
    ours = {"tokens": LOGIN, "account": {"uuid": "u"}, "type": "oauth", "failures": 3}
    text = document(anthropic_mine=ours, anthropic_k={"tokens": KEY}, openai={"tokens": 1})
    new = converted(text)
    assert entries(new)["anthropic:mine"] == ours
    assert (new.labels, new.left) == (("mine", "k"), ("openai",))
    assert json.loads(new.data)["lastModified"] == 9


def test_labels_are_legal_and_unique() -> None:
    labels = ("anthropic", "anthropic:default", "anthropic: \n", f"anthropic:{'x' * 99}")
    new = converted(document(**{label: {"tokens": KEY} for label in labels}))
    assert new.labels == ("default-2", "default", "account", "x" * 60)


@pytest.mark.parametrize(
    "text",
    [
        document(anthropic_work={"tokens": LOGIN, "type": "oauth"}),
        document(anthropic_work={"tokens": LOGIN}),
        document(openai={"disabled": True}),
        document(),
        "{}",
        "[]",
        "hunter2",
        "",
        '{"providers": []}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_nothing_of_the_original_is_left_alone(text: str) -> None:
    assert convert(text.encode(), [HOME]) is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (obfuscate(document(), "/another/home"), "written with another home directory"),
        (obfuscate(document(), HOME)[:-3], "cut off"),
        (obfuscate('{"version": "2.0", "lastModified": 1234567890123}', HOME), "list of providers"),
        (document(anthropic_a={"disabled": True}).encode(), "neither tokens nor"),
        (document(anthropic_a={"disabled": True, "tokens": {}}).encode(), "accessToken"),
        (document(anthropic_a={"tokens": {**KEY, "accessToken": "hunter 2"}}).encode(), "printable"),
        (document(anthropic_a={"tokens": {**LOGIN, "expiresAt": []}, "disabled": True}).encode(), "time"),
    ],
    ids=["other home", "cut", "no providers", "no tokens", "no token", "bad token", "bad time"],
)  # fmt: skip
def test_what_can_not_be_understood_is_refused_without_its_content(
    data: bytes, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        convert(data, [HOME])
    assert "hunter" not in str(caught.value)


MEMBERS = st.sampled_from(
    ["tokens", "accessToken", "disabled", "apiKey", "expiresAt", "scope", "type"]
)
VALUES = st.none() | st.booleans() | st.text(max_size=5) | st.floats() | st.integers()
ENTRIES = st.recursive(VALUES, lambda inner: st.dictionaries(MEMBERS, inner), max_leaves=8)


@given(st.dictionaries(st.text(max_size=8), ENTRIES, max_size=3), st.booleans())
def test_any_document_is_converted_or_refused(providers: dict[str, Any], hidden: bool) -> None:
    text = document(**{f"anthropic:{key}": entry for key, entry in providers.items()})
    try:
        new = convert(obfuscate(text, HOME) if hidden else text.encode(), [HOME])
    except ValueError:
        return
    assert new is None or convert(new.data, [HOME]) is None


def test_long_stores_take_their_length() -> None:
    for tail in (b"{", b"="):
        assert_linear(_converted_or_not, lambda size, tail=tail: b"A" * size + b"\n" * size + tail)  # type: ignore[misc]


def _converted_or_not(data: bytes) -> None:
    with suppress(ValueError):
        convert(data, [HOME])
