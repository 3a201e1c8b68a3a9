from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from neurolink_mitm.core.auth.credentials import StoredAccount, parse_token_store
from neurolink_mitm.core.auth.oauth import Tokens
from neurolink_mitm.core.auth.token_document import TokenDocument
from neurolink_mitm.core.redact.secret import Secret

NOW = 1_000.0
LOGIN = StoredAccount(
    "work",
    Secret("sk-ant-oat-1"),
    Secret("sk-ant-ort-1"),
    2_000.5,
    "u",
    "o",
    "Org",
    "a@example.com",
)
NEW = Tokens(Secret("sk-ant-oat-2"), Secret("sk-ant-ort-2"), 3_000.0, "s")
FOREIGN = b"""{
  "version": "2.0", "later": {"x": 1.50, "y": 12345678901234567890123},
  "providers": {
    "other:thing": [1,  2.0, "\\u00e9"],
    "anthropic:work": {"tokens": {"accessToken": "sk-ant-oat-0", "refreshToken": "r", "expiresAt": 1,
                                  "idToken": 1e2}, "account": {"uuid": "u", "plan": "max"},
                       "type": "oauth", "createdAt": 7, "notes": null, "failures": 3,
                       "disabled": {"at": 1, "reason": "why", "by": "me"}}
  }
}"""


def written(document: TokenDocument) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document.encode(NOW))
    return found


def entry(document: TokenDocument, label: str = "work") -> dict[str, Any]:
    found: dict[str, Any] = written(document)["providers"][f"anthropic:{label}"]
    return found


def test_a_login_is_read_back() -> None:
    document = TokenDocument()
    document.put(LOGIN, NOW)
    assert parse_token_store(document.encode(NOW)) == (LOGIN,)


def test_a_new_document() -> None:
    document = TokenDocument()
    document.put(LOGIN, NOW)
    assert written(document) == {
        "version": "2.0",
        "lastModified": 1_000_000,
        "providers": {
            "anthropic:work": {
                "tokens": {
                    "accessToken": "sk-ant-oat-1",
                    "refreshToken": "sk-ant-ort-1",
                    "expiresAt": 2_000_500,
                    "tokenType": "Bearer",
                },
                "account": {
                    "uuid": "u",
                    "email": "a@example.com",
                    "organizationUuid": "o",
                    "organizationName": "Org",
                },
                "type": "oauth",
                "createdAt": 1_000_000,
                "lastAccessed": 1_000_000,
            }
        },
    }


def test_a_key_is_read_back() -> None:
    key = StoredAccount("key", Secret("sk-ant-api-1"))
    document = TokenDocument()
    document.put(key, NOW)
    assert parse_token_store(document.encode(NOW)) == (key,)
    assert entry(document, "key")["type"] == "api_key"


CHANGES = {
    "put": lambda document: document.put(LOGIN, NOW),
    "put another": lambda document: document.put(StoredAccount("new", Secret("k")), NOW),
    "replace_tokens": lambda document: document.replace_tokens("work", NEW),
    "remove": lambda document: document.remove("work"),
    "disable": lambda document: document.disable("work", "why", NOW),
    "enable": lambda document: document.enable("work"),
    "note_failure": lambda document: document.note_failure("work"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_ours_stays_byte_for_byte(change: str) -> None:
    document = TokenDocument(FOREIGN)
    CHANGES[change](document)
    data = document.encode(NOW)
    for kept in (b'{"x": 1.50, "y": 12345678901234567890123}', b'[1,  2.0, "\\u00e9"]'):
        assert kept in data


@pytest.mark.parametrize("change", [c for c in CHANGES if c not in ("remove", "put another")])
def test_unknown_fields_of_an_entry_stay(change: str) -> None:
    document = TokenDocument(FOREIGN)
    CHANGES[change](document)
    assert b'"idToken":1e2' in document.encode(NOW).replace(b": ", b":")
    found = entry(document)
    assert (found["account"]["plan"], found["notes"], found["createdAt"]) == ("max", None, 7)


def test_a_login_clears_mark_and_failures() -> None:
    document = TokenDocument(FOREIGN)
    document.put(LOGIN, NOW)
    assert not {"disabled", "failures"} & entry(document).keys()


@pytest.mark.parametrize(
    ("organization", "plan"), [("o", "max"), ("another", None)], ids=["the same", "another"]
)
def test_a_plan_stays_until_it_is_another_account(organization: str, plan: str | None) -> None:
    """A login in the browser doesn't say it."""
    document = TokenDocument()
    document.put(replace(LOGIN, plan="max"), NOW)
    assert entry(document)["account"]["subscriptionType"] == "max"
    document.put(replace(LOGIN, organization_uuid=organization), NOW)
    [found] = parse_token_store(document.encode(NOW))
    assert found.plan == plan


def test_a_login_without_refresh_token_drops_the_old_one() -> None:
    document = TokenDocument(FOREIGN)
    document.put(StoredAccount("work", Secret("sk-ant-oat-9")), NOW)
    assert "refreshToken" not in entry(document)["tokens"]


def test_new_tokens_forget_failures_and_keep_the_mark() -> None:
    document = TokenDocument(FOREIGN)
    assert document.replace_tokens("work", NEW)
    assert document.failures("work") == 0
    assert entry(document)["disabled"]["by"] == "me"
    assert entry(document)["tokens"] == {
        "accessToken": "sk-ant-oat-2",
        "refreshToken": "sk-ant-ort-2",
        "expiresAt": 3_000_000,
        "idToken": 100.0,
        "scope": "s",
    }


@pytest.mark.parametrize(
    ("reason", "stays"),
    [("needs login: spent", False), ("by hand", True), ("15 refreshes failed in a row", True)],
)
def test_new_tokens_disprove_that_a_login_is_needed(reason: str, stays: bool) -> None:
    document = TokenDocument()
    document.put(LOGIN, NOW)
    document.disable("work", reason, NOW)
    document.replace_tokens("work", NEW)
    assert ("disabled" in entry(document)) is stays


def test_a_refresh_token_that_did_not_come_anew_is_kept() -> None:
    document = TokenDocument(FOREIGN)
    document.replace_tokens("work", Tokens(Secret("a"), None, None))
    assert entry(document)["tokens"]["refreshToken"] == "r"


def test_who_it_is_is_added_if_told() -> None:
    document = TokenDocument(FOREIGN)
    document.replace_tokens("work", Tokens(Secret("a"), None, None, email="b@example.com"))
    assert entry(document)["account"] == {"uuid": "u", "plan": "max", "email": "b@example.com"}


def test_disable_and_enable() -> None:
    document = TokenDocument(FOREIGN)
    assert document.disable("work", "needs login", 2.0)
    assert entry(document)["disabled"] == {"at": 2000, "reason": "needs login"}
    assert document.enable("work")
    assert not {"disabled", "failures"} & entry(document).keys()


def test_failures_count_up() -> None:
    document = TokenDocument(FOREIGN)
    assert [document.note_failure("work") for _ in range(2)] == [4, 5]
    assert TokenDocument(document.encode(NOW)).failures("work") == 5


@pytest.mark.parametrize("failures", ['"x"', "-1", "1.5", "null"])
def test_a_count_that_is_none_is_zero(failures: str) -> None:
    data = FOREIGN.replace(b'"failures": 3', f'"failures": {failures}'.encode())
    assert TokenDocument(data).failures("work") == 0


def test_what_is_not_there_is_not_changed() -> None:
    document = TokenDocument(FOREIGN)
    before = document.encode(NOW)
    assert not document.replace_tokens("x", NEW)
    assert not document.remove("x")
    assert not document.disable("x", "why", NOW)
    assert not document.enable("x")
    assert document.note_failure("x") == document.failures("x") == 0
    assert document.encode(NOW) == before


@pytest.mark.parametrize(
    "login", [StoredAccount(" x", Secret("k")), StoredAccount("x", Secret(""))]
)
def test_what_could_not_be_read_back_is_not_written(login: StoredAccount) -> None:
    with pytest.raises(ValueError, match="must"):
        TokenDocument().put(login, NOW)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"providers": 7}', b'{"providers": {"anthropic:x": {}}}']
)
def test_a_broken_document_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's words, tested with it
        TokenDocument(data)


def test_nothing_shows_a_token() -> None:
    document = TokenDocument()
    document.put(LOGIN, NOW)
    assert "sk-ant" not in repr(document) + repr(NEW)
