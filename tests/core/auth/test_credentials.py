from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.credentials import (
    StoredAccount,
    account_type,
    check_label,
    check_token,
    parse_legacy,
    parse_token_store,
)
from neurolink_mitm.core.redact.secret import Secret

TOKEN = "sk-ant-oat-test-hunter2"
WORK: dict[str, Any] = {
    "tokens": {
        "accessToken": TOKEN,
        "refreshToken": "sk-ant-ort-test-hunter2",
        "expiresAt": 1_800_000_000_500,
        "tokenType": "Bearer",
        "scope": "user:inference",
    },
    "account": {
        "uuid": "u-1",
        "email": "me@example.com",
        "organizationUuid": "o-1",
        "organizationName": "Example",
    },
    "type": "oauth",
    "createdAt": 1_700_000_000_000,
    "lastAccessed": 1_700_000_000_000,
    "disabled": {"at": 1_700_000_000_000, "reason": "invalid_grant"},
}


def store(**providers: object) -> bytes:
    entries = {name.replace("_", ":", 1): entry for name, entry in providers.items()}
    return json.dumps({"version": "2.0", "lastModified": 1, "providers": entries}).encode()


def test_an_entry_with_everything() -> None:
    assert parse_token_store(store(anthropic_work=WORK)) == (
        StoredAccount(
            label="work",
            access_token=Secret(TOKEN),
            refresh_token=Secret("sk-ant-ort-test-hunter2"),
            expires_at=1_800_000_000.5,
            account_uuid="u-1",
            organization_uuid="o-1",
            organization_name="Example",
            email="me@example.com",
            disabled="invalid_grant",
        ),
    )


def test_an_entry_with_nothing_but_a_key() -> None:
    entry = {"tokens": {"accessToken": "sk-ant-test-1"}}
    assert parse_token_store(store(anthropic_k=entry)) == (
        StoredAccount("k", Secret("sk-ant-test-1")),
    )


def test_empty_strings_and_zero_mean_nothing() -> None:
    entry = {
        "tokens": {"accessToken": "sk-ant-test-1", "refreshToken": "", "expiresAt": 0},
        "account": {"uuid": "", "email": None},
        "disabled": None,
    }
    assert parse_token_store(store(anthropic_k=entry)) == (
        StoredAccount("k", Secret("sk-ant-test-1")),
    )


YEAR_9999 = 253_402_300_799.0


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (1_800_000_000_500, 1_800_000_000.5),
        (1_800_000_000_500.25, 1_800_000_000.50025),
        (1_800_000_000, 1_800_000_000.0),
        ("1800000000500", 1_800_000_000.5),
        ("2027-01-15T08:00:00Z", 1_800_000_000.0),
        ("2027-01-15T08:00:00", 1_800_000_000.0),
        ("", None),
        (0, None),
        (None, None),
        (-5, 1.0),
        (-1e300, 1.0),
        (1e300, YEAR_9999),
        (10**30, YEAR_9999),
        (253_402_300_800_000, YEAR_9999),
        ("inf", YEAR_9999),
    ],
    ids=str,
)
def test_the_end_of_a_token_may_be_any_number(written: object, seconds: float | None) -> None:
    data = {"tokens": {"accessToken": "sk-ant-oat-1", "expiresAt": written}}
    document = json.dumps({"providers": {"anthropic:work": data}}).encode()
    [found] = parse_token_store(document)
    assert found.expires_at == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["soon", "nan", "2027-13-01"])
def test_an_end_that_is_no_time_is_told_by_its_place(written: str) -> None:
    data = {"tokens": {"accessToken": "sk-ant-oat-1", "expiresAt": written}}
    document = json.dumps({"providers": {"anthropic:work": data}}).encode()
    with pytest.raises(
        ValueError, match=r'providers\["anthropic:work"\]\.tokens\.expiresAt must be'
    ):
        parse_token_store(document)


@pytest.mark.parametrize(
    ("said", "plan"),
    [("max", "max"), (" pro ", "pro"), ("", None), (None, None), (5, None), (["max"], None),
     ("m\nx", None), ("x" * 33, None)],
    ids=str,
)  # fmt: skip
def test_a_plan_is_a_short_name_or_none(said: object, plan: str | None) -> None:
    data = {"tokens": {"accessToken": "sk-ant-oat-1"}, "account": {"subscriptionType": said}}
    document = json.dumps({"providers": {"anthropic:work": data}}).encode()
    [found] = parse_token_store(document)
    assert found.plan == plan


def test_a_disabled_mark_without_a_reason_still_disables() -> None:
    (account,) = parse_token_store(store(anthropic_work={**WORK, "disabled": {"at": 1}}))
    assert account.disabled == "disabled"


def test_the_order_of_the_file_is_kept() -> None:
    data = store(anthropic_b=WORK, anthropic_a=WORK, anthropic_c=WORK)
    assert [account.label for account in parse_token_store(data)] == ["b", "a", "c"]


def test_a_label_may_hold_colons() -> None:
    (account,) = parse_token_store(json.dumps({"providers": {"anthropic:a:b": WORK}}).encode())
    assert account.label == "a:b"


def test_unknown_fields_are_let_pass() -> None:
    entry = {**WORK, "new": [1], "tokens": {**WORK["tokens"], "new": {}}}
    assert len(parse_token_store(store(anthropic_work=entry))) == 1


@pytest.mark.parametrize(
    "entry", [WORK, 5, None, {"tokens": 1}], ids=["good", "int", "null", "bad"]
)
def test_entries_of_others_are_ignored_whatever_their_shape(entry: object) -> None:
    assert parse_token_store(store(openai_work=entry, anthropic=entry)) == ()


@pytest.mark.parametrize("data", [b"{}", b'{"version": "2.0"}', b'{"providers": {}}'])
def test_an_empty_store_holds_nothing(data: bytes) -> None:
    assert parse_token_store(data) == ()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b'{"providers": hunter2}', "malformed"),
        (b"\xff\xfe hunter2", "malformed"),
        (b'{"providers": {"anthropic:x": "\xff hunter2"}}', ""),
        (b'{"providers": {"anthropic:\xff": "hunter2"}}', "not UTF-8"),
        (b'["hunter2"]', "Expected `object`, got `array`"),
        (b'{"providers": "hunter2"}', "$.providers"),
        (b"[" * 100_000, ""),
        (b'{"providers": {"anthropic:x": ' + b"[" * 100_000, ""),
        (store(anthropic_x=None), 'providers["anthropic:x"]: Expected `object`'),
        (store(anthropic_x={}), 'providers["anthropic:x"]: Object missing required field `tokens`'),
        (store(anthropic_x={"tokens": {"accessToken": 5}}), "$.tokens.accessToken"),
        (
            store(anthropic_x={"tokens": {"accessToken": ""}}),
            'providers["anthropic:x"].tokens.accessToken must not be empty',
        ),
        (
            store(anthropic_x={"tokens": {"accessToken": "hunter2\r\nx-evil: 1"}}),
            'providers["anthropic:x"].tokens.accessToken must be printable ASCII characters',
        ),
        (store(anthropic_={"tokens": {}}), 'providers["anthropic:"]: the label must be'),
        (
            b'{"providers": {"anthropic:a\\r\\nb": {}}}',
            r'providers["anthropic:a\r\nb"]: the label must be',
        ),
    ],
)
def test_a_broken_store_is_told_without_its_content(data: bytes, says: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is looked at below
        parse_token_store(data)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(st.binary())
def test_any_bytes_are_a_store_or_a_value_error(data: bytes) -> None:
    for parse in (parse_token_store, parse_legacy):
        try:
            parse(data)
        except ValueError as e:
            assert type(e) is ValueError  # noqa: PT017 - either outcome is fine, others are not


def test_the_legacy_account() -> None:
    data = json.dumps({"oauth": WORK["tokens"]}).encode()
    assert parse_legacy(data) == StoredAccount(
        "default", Secret(TOKEN), Secret("sk-ant-ort-test-hunter2"), 1_800_000_000.5
    )


@pytest.mark.parametrize("data", [b"{}", b'{"oauth": null}', b'{"other": 1}'])
def test_a_legacy_file_without_a_login(data: bytes) -> None:
    assert parse_legacy(data) is None


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "truncated"),
        (b'{"oauth": {"accessToken": ""}}', "oauth.accessToken must not be empty"),
        (b'{"oauth": {"accessToken": "x", "refreshToken": "a b"}}', "oauth.refreshToken must be"),
    ],
)
def test_a_broken_legacy_file(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_legacy(data)


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("sk-ant-oat01-x", "oauth"),
        ("sk-ant-oat-test-x", "oauth"),
        ("sk-ant-api03-x", "api_key"),
        ("sk-ant-test-x", "api_key"),
        ("anything", "api_key"),
    ],
)
def test_the_type_comes_from_the_shape_of_the_token(token: str, kind: str) -> None:
    assert account_type(Secret(token)) == kind


def test_nothing_prints_a_secret() -> None:
    assert "hunter2" not in repr(parse_token_store(store(anthropic_work=WORK)))


@given(st.text())
def test_what_passes_the_checks_can_stand_in_a_header(text: str) -> None:
    for check in (check_label, check_token):
        try:
            passed = check(text)
        except ValueError:
            continue
        assert passed
        assert not any(character in passed for character in "\r\n\0")
