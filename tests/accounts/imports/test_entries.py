from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.accounts.imports.entries import (
    LONGEST_TOKEN,
    Login,
    either_entry,
    foreign_url,
    key_entry,
    login_entry,
    one_line,
)

NOW = 1_800_000_000.0
ACCESS, REFRESH = "sk-ant-oat01-test-a", "sk-ant-ort01-test-r"


@pytest.mark.parametrize(
    "ends",
    [1_900_000_000, 1_900_000_000_000, "1900000000", "2030-03-17T17:46:40Z", "2030-03-17T19:46:40+02:00"],
    ids=["seconds", "milliseconds", "text", "iso", "iso with zone"],
)  # fmt: skip
def test_the_end_of_a_token_is_read_in_any_unit(ends: object) -> None:
    account = login_entry("n", "w", Login(ACCESS, REFRESH, ends), NOW).account
    assert account is not None
    assert account.expires_at == 1_900_000_000


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        (Login(None, REFRESH), "its access token is missing"),
        (Login(7), "its access token is missing"),
        (Login("sk-ant-api03-x"), "not one of an Anthropic login"),
        (Login("ya29.google"), "not one of an Anthropic login"),
        (Login(ACCESS + "\n evil: 1"), "its access token must be printable ASCII"),
        (Login(ACCESS + "x" * LONGEST_TOKEN), "longer than"),
        (Login(ACCESS, "r\x00"), "its refresh token must be printable ASCII"),
        (Login(ACCESS, ["r"]), "its refresh token is missing"),
        (Login(ACCESS, REFRESH, True), "is not a time"),
        (Login(ACCESS, REFRESH, {}), "is not a time"),
        (Login(ACCESS, REFRESH, float("nan")), "must be a time"),
        (Login(ACCESS, REFRESH, "soon"), "must be a time"),
        (Login(ACCESS, None, 1_700_000_000), "has expired, and there is none to refresh it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_login_that_can_not_serve_is_left_with_its_reason(login: Login, reason: str) -> None:
    entry = login_entry("n", "w", login, NOW)
    assert entry.account is None
    assert reason in entry.reason
    assert "sk-ant" not in entry.reason


@pytest.mark.parametrize("ends", [None, 0, 1e308, float("inf"), 10**30, 10**400, "inf"])
def test_an_end_that_is_no_end_is_none_or_the_calendar_s(ends: Any) -> None:
    account = login_entry("n", "w", Login(ACCESS, None, ends), NOW).account
    assert account is not None
    assert account.expires_at is None or account.expires_at > NOW


def test_an_expired_login_that_can_be_refreshed_is_taken() -> None:
    account = login_entry("n", "w", Login(ACCESS, REFRESH, 5), NOW).account
    assert account is not None
    assert account.expires_at == 1.0


def test_a_label_is_the_e_mail_else_the_name() -> None:
    who = {"email": "me@example.com", "uuid": "u", "organization_uuid": 7, "plan": "max"}
    account = login_entry("n", "w", Login(ACCESS, identity=who), NOW).account
    assert account is not None
    assert (account.label, account.account_uuid) == ("me@example.com", "u")
    assert (account.organization_uuid, account.plan) == (None, "max")
    named = login_entry("n\x1b[31m", "w", Login(ACCESS, identity={"email": "a\nb"}), NOW).account
    assert named is not None
    assert (named.label, named.email) == ("n [31m", None)


@pytest.mark.parametrize("key", [None, 7, "", "sk-proj-x", ACCESS, "sk-ant-api x", "k" * 9000])
def test_a_key_that_is_none_of_anthropic_is_left(key: object) -> None:
    entry = key_entry("n", "w", key)
    assert entry.account is None
    assert entry.reason.startswith("the key can't be used: ")


def test_the_prefix_tells_a_login_from_a_key() -> None:
    kinds = [either_entry("n", "w", Login(each), NOW).account for each in (ACCESS, "sk-ant-api-x")]
    assert [account.type if account else None for account in kinds] == ["oauth", "api_key"]


@pytest.mark.parametrize(
    ("url", "foreign"),
    [
        (None, None),
        ("", None),
        ("https://api.anthropic.com", None),
        ("https://api.anthropic.com:443/v1/messages", None),
        ("http://api.anthropic.com", "http://api.anthropic.com"),
        ("https://api.anthropic.com.evil.com/v1", "https://api.anthropic.com.evil.com/v1"),
        ("https://api.anthropic.com@evil.com", None),
        ("https://[::1", "https://[::1"),
        ("https://api.anthropic.com:99999", "https://api.anthropic.com:99999"),
    ],
)
def test_an_address_that_is_not_anthropic_s_is_foreign(url: object, foreign: str | None) -> None:
    if url == "https://api.anthropic.com@evil.com":
        assert "evil.com" in str(foreign_url(url))
    else:
        assert foreign_url(url) == foreign


def test_a_text_is_shown_in_one_line_without_secrets() -> None:
    text = one_line("http://u:hunter2@proxy:1\r\n\x1b]0;x\x07" + "y" * 9999)
    assert "hunter2" not in text
    assert text.isprintable()
    assert len(text) <= 160
    assert "hunter2" not in one_line("it is for https://x/v1?key=hunter2")
    assert "sk-ant-oat01" not in one_line(f"x {ACCESS}-{'a' * 40}")
