from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.redact.text import redact

MASK = "***"
SECRETS = {
    "anthropic-key": "sk-ant-api03-" + "aB3_-" * 19,
    "anthropic-login": "sk-ant-oat01-" + "x" * 80,
    "anthropic-refresh": "sk-ant-ort01-" + "x" * 80,
    "short-anthropic-key": "sk-ant-test",
    "openai-key": "sk-proj-0123456789abcdefGHIJ",
    "stripe-like-key": "rk-0123456789abcdef",
    "json-web-token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "google-key": "AIza" + "Sy0-_" * 7,
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize(
    "form", ["%s", "key=%s&b=1", '{"k":"%s"}', "(%s)", "a: %s, b", "/%s/"],
    ids=["bare", "query", "json", "brackets", "sentence", "path"],
)  # fmt: skip
def test_what_is_shaped_like_a_secret_is_starred(form: str, secret: str) -> None:
    assert redact(form % secret) == form % MASK


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_is_starred_whatever_its_shape(scheme: str) -> None:
    assert redact(f"authorization: {scheme} abc.def/ghi+jkl=") == f"authorization: {MASK}"


@pytest.mark.parametrize(
    "name",
    ["access_token", "refresh_token", "api_key", "api-key", "apikey", "x-api-key", "API_KEY",
     "client_secret", "token", "key", "code"],
)  # fmt: skip
def test_a_secret_in_a_query_is_starred_whatever_its_shape(name: str) -> None:
    assert redact(f"/x?a=1&{name}=hunter2&b=2") == f"/x?a=1&{name}={MASK}&b=2"


@pytest.mark.parametrize("form", ["/x?key=%s", "a=1&key=%s", "/x?key=%s&a=1"])
def test_wherever_it_stands_in_the_query(form: str) -> None:
    assert redact(form % "hunter2") == form % MASK


def test_all_of_them_are_starred() -> None:
    text = " ".join(SECRETS.values())
    assert redact(text) == " ".join([MASK] * len(SECRETS))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "POST /v1/messages?beta=true",
        "claude-sonnet-4-5-20250929",
        "took anthropic:work by fill-first; skipped anthropic:home: cooling for 3 s",
        "risk-assessment-of-something-long-enough",
        "task-0123456789abcdef0123",
        "the bearer of bad news",
        "req_nl_0123456789abcdef0123",
        "8f1c6f9e-3f4c-4b7e-9d8b-0123456789ab",
        "/v1/messages/count_tokens?monkey=1&tokens=2&decode=3",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.text(), st.sampled_from(sorted(SECRETS.values())))
def test_no_secret_gets_through(before: str, after: str, secret: str) -> None:
    assert secret not in redact(f"{before} {secret} {after}")


@given(st.text())
def test_what_was_redacted_stays_as_it_is(text: str) -> None:
    assert redact(redact(text)) == redact(text)
