from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.session import session_in_user_id

SESSION = "8f1c6f9e-3f4c-4b7e-9d8b-0123456789ab"
DEVICE = "user_" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "user_id",
    [
        f"{DEVICE}_account_1d2e3f40-0000-4000-8000-000000000000_session_{SESSION}",
        f"{DEVICE}_account__session_{SESSION}",
        json.dumps({"device_id": "d", "account_uuid": "", "session_id": SESSION}),
        json.dumps({"session_id": SESSION}),
        f"x_session_first_session_{SESSION}",
    ],
    ids=["legacy", "legacy-without-account", "json", "json-alone", "the-last-one"],
)
def test_claude_codes_session(user_id: str) -> None:
    assert session_in_user_id(user_id) == SESSION


def test_an_old_session_may_be_in_capitals() -> None:
    assert session_in_user_id(f"u_session_{SESSION.upper()}") == SESSION.upper()


@pytest.mark.parametrize(
    "user_id",
    [
        None,
        "",
        "somebody",
        SESSION,
        f"u_session_{SESSION}_x",
        "u_session_",
        "u_session_1234567",
        f"u_session_{'0' * 65}",
        "u_session_not-hex-at-all",
        "{}",
        "{not json",
        '{"session_id": 7}',
        '{"session_id": null}',
        '{"session_id": "\udc80"}',
        '{"session_id": ' + "[" * 200_000,
    ],
    ids=["none", "empty", "other", "bare", "followed", "cut", "short", "long", "no-hex",
         "json-without", "no-json", "number", "null", "surrogate", "deep"],
)  # fmt: skip
def test_no_session(user_id: str | None) -> None:
    assert session_in_user_id(user_id) is None


@given(st.text() | st.text().map("{".__add__))
def test_no_user_id_makes_it_raise(user_id: str) -> None:
    session_in_user_id(user_id)
