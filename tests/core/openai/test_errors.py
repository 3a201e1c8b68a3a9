from __future__ import annotations

import json

import pytest

from neurolink_mitm.core.failover.errors import error_body
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.openai.errors import (
    OpenAiError,
    RequestError,
    encoded,
    error_in_openai_form,
    is_openais,
)


def test_what_a_refusal_quotes_is_cut() -> None:
    error = RequestError("no such role: " + "x" * 100_000, "metadata." + "k" * 100_000)
    assert len(error.body) < 5000


def test_body_of_a_refused_request() -> None:
    error = RequestError("no such role", "messages[1].role", "invalid_value")
    assert json.loads(error.body) == {
        "error": {
            "message": "no such role",
            "type": "invalid_request_error",
            "param": "messages[1].role",
            "code": "invalid_value",
        }
    }


@pytest.mark.parametrize(
    ("status", "error_type", "message", "kind", "param", "code"),
    [
        (400, "invalid_request_error", "tools.0: bad", "invalid_request_error", None, None),
        (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum",
         "invalid_request_error", "messages", "context_length_exceeded"),
        (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 9 + 8 > 10",
         "invalid_request_error", "messages", "context_length_exceeded"),
        (400, "invalid_request_error", "Your credit balance is too low to access", "insufficient_quota",
         None, "insufficient_quota"),
        (401, "authentication_error", "invalid x-api-key", "invalid_request_error", None, "invalid_api_key"),
        (402, "billing_error", "pay", "insufficient_quota", None, "insufficient_quota"),
        (403, "permission_error", "no", "invalid_request_error", None, None),
        (404, "not_found_error", "model: claude-9", "invalid_request_error", "model", "model_not_found"),
        (404, "not_found_error", "no such path", "invalid_request_error", None, None),
        (405, "invalid_request_error", "POST", "invalid_request_error", None, "method_not_supported"),
        (413, "request_too_large", "too big", "invalid_request_error", None, None),
        (429, "rate_limit_error", "slow down", "rate_limit_error", None, "rate_limit_exceeded"),
        (500, "api_error", "oh", "server_error", None, None),
        (504, "timeout_error", "late", "server_error", None, None),
        (529, "overloaded_error", "busy", "server_error", None, "server_is_overloaded"),
        (None, "overloaded_error", "cut off", "server_error", None, "server_is_overloaded"),
        (None, "rate_limit_error", "slow down", "rate_limit_error", None, "rate_limit_exceeded"),
        (None, "odd", "what", "server_error", None, None),
    ],
)  # fmt: skip
def test_anthropics_error(
    status: int | None, error_type: str, message: str, kind: str, param: str | None, code: str
) -> None:
    error = error_in_openai_form(error_body(error_type, message, "req_1"), status)
    assert error == OpenAiError(message, kind, param, code)


def test_the_field_that_is_too_long_is_that_of_the_api() -> None:
    body = error_body("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum")
    assert error_in_openai_form(body, 400, Api.RESPONSES).param == "input"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "status 502"),
        (b"<!doctype html><title>502</title>", "upstream answered with status 502 and a page"),
        (b"upstream is down", "upstream is down"),
        (b'{"error":"so"}', '{"error":"so"}'),
        (b'{"error":{"message":7}}', '{"error":{"message":7}}'),
        (b"[" * 100_000, "[" * 300),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
    ids=["empty", "page", "text", "text inside", "odd message", "deep", "binary"],
)
def test_any_other_body(body: bytes, message: str) -> None:
    assert error_in_openai_form(body, 502) == OpenAiError(message, "server_error")


@pytest.mark.parametrize(
    "error",
    [
        OpenAiError("m", "invalid_request_error", "input", "unsupported_value"),
        OpenAiError("m", "invalid_request_error", None, "invalid_value"),
    ],
)
def test_an_error_in_this_form_stays(error: OpenAiError) -> None:
    assert error_in_openai_form(encoded(error), 400) == error
    assert is_openais(encoded(error))


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"<html>", b'{"error":"x"}', error_body("api_error", "x"), b"[1]"]
)
def test_forms_of_others(body: bytes) -> None:
    assert not is_openais(body)


def test_a_long_message_takes_no_time() -> None:
    """Of a megabyte as many words begin like one that is searched for."""
    body = error_body("invalid_request_error", "exceed" * 170_000)
    assert error_in_openai_form(body, 400).code is None
