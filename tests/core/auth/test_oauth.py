from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.oauth import (
    AHEAD,
    Tokens,
    Trouble,
    ahead_of,
    asks_second_url,
    needs_refresh,
    oauth_error,
    parse_tokens,
    pause_after,
    split_pasted,
    trouble_of,
)
from neurolink_mitm.core.redact.secret import Secret

NOW = 1_000_000.0
GOOD = {
    "access_token": "sk-ant-oat-hunter2",
    "refresh_token": "sk-ant-ort-hunter2",
    "expires_in": 28_800,
    "scope": "user:inference",
    "account": {"uuid": "u", "email_address": "a@example.com"},
    "organization": {"uuid": "o", "name": "Org"},
}
HTML = b"<!DOCTYPE html><title>502</title>"


def parsed(**changes: object) -> Tokens:
    return parse_tokens(json.dumps({**GOOD, **changes}).encode(), NOW)


def refused(code: str) -> bytes:
    return json.dumps({"error": code, "error_description": "why"}).encode()


def test_tokens_with_everything() -> None:
    assert parsed() == Tokens(
        Secret("sk-ant-oat-hunter2"), Secret("sk-ant-ort-hunter2"), NOW + 28_800,
        "user:inference", "u", "a@example.com", "o", "Org",
    )  # fmt: skip


def test_an_access_token_is_enough() -> None:
    only = parse_tokens(b'{"access_token": "sk-ant-oat-x"}', NOW)
    assert only == Tokens(Secret("sk-ant-oat-x"), None, None)


def test_tokens_print_as_stars() -> None:
    assert "hunter2" not in repr(parsed())


@pytest.mark.parametrize(
    "changes",
    [{"account": 7}, {"account": {"uuid": 7}}, {"organization": []}, {"scope": ["a"]},
     {"account": None, "organization": None}],
    ids=repr,
)  # fmt: skip
def test_tokens_are_not_lost_over_what_surrounds_them(changes: dict[str, object]) -> None:
    assert parsed(**changes).access_token == Secret("sk-ant-oat-hunter2")


@pytest.mark.parametrize(
    ("expires_in", "end"),
    [(60, NOW + 60), ("60", NOW + 60), (0, NOW), (1.5, NOW + 1.5), (-1, None), (None, None),
     ("soon", None), (1e300, None), ([], None)],
    ids=repr,
)  # fmt: skip
def test_when_they_end(expires_in: object, end: float | None) -> None:
    assert parsed(expires_in=expires_in).expires_at == end


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", HTML, b"\xff", b"{}", b'{"access_token": ""}',
     b'{"access_token": 7, "refresh_token": "hunter2"}', b'{"access_token": "hunter2 hunter2"}',
     b'{"access_token": "a", "refresh_token": "hunter2\\n\\u00e9"}', b"[" * 100_000],
    ids=lambda body: body[:30].decode(errors="replace"),
)  # fmt: skip
def test_what_holds_no_tokens_is_refused_without_its_content(body: bytes) -> None:
    with pytest.raises(ValueError, match="token") as caught:
        parse_tokens(body, NOW)
    assert "hunter2" not in str(caught.value)


@given(st.binary())
def test_any_answer_is_tokens_or_a_value_error(body: bytes) -> None:
    oauth_error(body)
    with pytest.raises(ValueError, match="token"):
        parse_tokens(body, NOW)


@pytest.mark.parametrize(
    ("status", "body", "retry_after", "trouble"),
    [
        (None, b"", None, Trouble.TRANSIENT),
        (200, HTML, None, Trouble.TRANSIENT),
        (302, b"", None, Trouble.TRANSIENT),
        (400, refused("invalid_grant"), None, Trouble.INVALID_GRANT),
        (401, refused("invalid_grant"), None, Trouble.INVALID_GRANT),
        (400, b'{"error": {"type": "invalid_grant"}}', None, Trouble.INVALID_GRANT),
        (429, refused("invalid_grant"), None, Trouble.RATE_LIMITED),
        (429, HTML, None, Trouble.RATE_LIMITED),
        (403, refused("no"), 5.0, Trouble.RATE_LIMITED),
        (400, b'{"error": {"type": "rate_limit_error"}}', None, Trouble.RATE_LIMITED),
        (400, refused("invalid_client"), None, Trouble.REFUSED),
        (404, HTML, None, Trouble.REFUSED),
        (403, HTML, None, Trouble.TRANSIENT),
        (408, b"", None, Trouble.TRANSIENT),
        (500, refused("invalid_grant"), None, Trouble.TRANSIENT),
        (503, b"", 5.0, Trouble.TRANSIENT),
        (529, b"", None, Trouble.TRANSIENT),
    ],
)
def test_what_an_answer_means(
    status: int | None, body: bytes, retry_after: float | None, trouble: Trouble
) -> None:
    assert trouble_of(status, body, retry_after) is trouble


@pytest.mark.parametrize(
    ("status", "asks"),
    [(None, True), (404, True), (500, True), (503, True), (200, False), (400, False),
     (401, False), (429, False)],
)  # fmt: skip
def test_when_the_second_address_is_asked(status: int | None, asks: bool) -> None:
    assert asks_second_url(status) is asks


@pytest.mark.parametrize(
    ("expires_at", "due"),
    [(None, False), (NOW - 1, True), (NOW, True), (NOW + 3600, True), (NOW + 3601, False)],
)
def test_a_token_is_refreshed_an_hour_ahead(expires_at: float | None, due: bool) -> None:
    assert needs_refresh(expires_at, NOW) is due


def test_a_short_lived_token_is_used_for_half_its_life() -> None:
    assert [ahead_of(life) for life in (None, 28_800, 3600, 60)] == [AHEAD, AHEAD, 1800, 30]


def test_failures_in_a_row_are_spread_out() -> None:
    assert [pause_after(n) for n in (0, 1, 2, 3, 6, 7, 15, 5000)] == [0, 1, 2, 4, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("pasted", "code", "state"),
    [
        ("abc", "abc", None),
        (" abc \n", "abc", None),
        ("abc#xyz", "abc", "xyz"),
        ("ab\nc#x\n yz", "abc", "xyz"),
        ("abc#", "abc", None),
        ("https://example.com/cb?code=abc&state=xyz", "abc", "xyz"),
        ("http://localhost:1/cb?state=x%20z&code=a%2Fb", "a/b", "x z"),
        ("https://example.com/cb#code=abc&state=xyz", "abc", "xyz"),
        ("https://example.com/cb?code=abc", "abc", None),
        ("code=abc&state=xyz", "abc", "xyz"),
    ],
)
def test_what_was_pasted(pasted: str, code: str, state: str | None) -> None:
    assert split_pasted(pasted) == (code, state)


@pytest.mark.parametrize(
    ("pasted", "why"),
    [("", "no code"), ("#xyz", "no code"), ("https://example.com/cb", "no code"),
     ("https://example.com/cb?code=&state=x", "no code"), ("https://[?code=1", "."),
     ("hünter2", "characters"), ("https://example.com/cb?error=access_denied", "refused")],
)  # fmt: skip
def test_what_is_no_code_is_refused(pasted: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        split_pasted(pasted)
    assert "hünter2" not in str(caught.value)


@given(st.text())
def test_any_text_is_split_or_a_value_error(text: str) -> None:
    try:
        code, _ = split_pasted(text)
    except ValueError:
        return
    assert code


def test_tokens_as_a_login() -> None:
    login = parsed().as_login("work")
    assert (login.label, login.type, login.email) == ("work", "oauth", "a@example.com")
    assert login.refresh_token == Secret("sk-ant-ort-hunter2")
