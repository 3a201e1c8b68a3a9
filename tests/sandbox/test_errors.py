import json

import pytest

from neurolink_mitm.sandbox.errors import error_body, status_of, type_of


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (429, "rate_limit_error"),
        (529, "overloaded_error"),
        (422, "invalid_request_error"),
        (522, "api_error"),
    ],
)
def test_the_type_follows_from_the_status(status: int, error_type: str) -> None:
    assert type_of(status) == error_type


def test_the_status_follows_from_the_type() -> None:
    assert (status_of("overloaded_error"), status_of("unheard_of_error")) == (529, 500)


def test_error_body() -> None:
    assert json.loads(error_body("overloaded_error", None, "req_1")) == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "Overloaded"},
        "request_id": "req_1",
    }
