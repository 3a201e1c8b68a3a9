from __future__ import annotations

import pytest

from neurolink_mitm.core.providers.errors import provider_error
from neurolink_mitm.core.providers.responses.failures import failure_of
from tests.core.providers.responses.story import Json, response

LONG = (
    "Your input exceeds the context window of this model. Please adjust your input and try again."
)
FAILURES: dict[str, tuple[Json, int, str]] = {
    "a limit": ({"code": "rate_limit_exceeded", "message": "Rate limit reached for gpt-5."}, 429, "Rate limit reached"),
    "a server's fault": ({"code": "server_error", "message": "Sorry."}, 500, "Sorry."),
    "an overload": ({"code": "server_is_overloaded", "message": "Slow."}, 503, "Slow."),
    "a long prompt": ({"code": "context_length_exceeded", "message": LONG}, 400, "prompt is too long"),
    "a prompt that is not wanted": ({"code": "invalid_prompt", "message": "Flagged."}, 400, "Flagged."),
    "a picture": ({"code": "invalid_image", "message": "No."}, 400, "No."),
    "no code": ({"code": None, "message": "Hm."}, 500, "Hm."),
    "a request's fault": ({"type": "invalid_request_error", "code": None, "message": "Hm."}, 400, "Hm."),
    "no money": ({"code": "insufficient_quota", "message": "Pay."}, 429, "Pay."),
    "nothing": ({}, 500, "openai failed"),
}  # fmt: skip


@pytest.mark.parametrize("form", ["failed", "error", "nested"])
@pytest.mark.parametrize(("error", "status", "words"), FAILURES.values(), ids=FAILURES)
def test_a_failure_has_the_status_of_its_code(
    error: Json, status: int, words: str, form: str
) -> None:
    failed = response([], status="failed", error=error, usage=None)
    events: dict[str, Json] = {
        "failed": {"type": "response.failed", "response": failed},
        "error": {**error, "type": "error"} if "type" not in error else {"type": "error", "error": error},
        "nested": {"type": "error", "error": error},
    }  # fmt: skip
    failure = failure_of(events[form])
    assert failure.status_code == status
    assert words in provider_error("openai", status, str(failure)).message


@pytest.mark.parametrize(
    ("words", "after"),
    [("Please try again in 1.2s.", "2"), ("try again in 20ms", "1"), ("try again in 30s", "30"), ("later", None)],
)  # fmt: skip
def test_a_limit_says_when_to_come_again(words: str, after: str | None) -> None:
    error = {"code": "rate_limit_exceeded", "message": words}
    assert failure_of({"type": "error", **error}).headers.get("retry-after") == after
