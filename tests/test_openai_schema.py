"""The schema refuses what OpenAI's answers aren't."""

from __future__ import annotations

from typing import Any

import pytest

from tests.openai_schema import ROOTS, validate, validate_event

DELTA: dict[str, Any] = {
    "type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1", "output_index": 0,
    "content_index": 0, "delta": "so", "logprobs": [],
}  # fmt: skip
ERROR: dict[str, Any] = {
    "error": {"type": "invalid_request_error", "message": "no", "param": None, "code": None}
}


def test_answers_of_openai_s_are_valid() -> None:
    validate_event(DELTA)
    validate("ErrorResponse", ERROR)


@pytest.mark.parametrize("schema", ROOTS)
def test_nothing_is_no_answer(schema: str) -> None:
    with pytest.raises(AssertionError, match=schema):
        validate(schema, {})


@pytest.mark.parametrize(
    ("event", "why"),
    [
        pytest.param(DELTA | {"type": "response.output_text.more"}, "unknown type", id="type"),
        pytest.param(DELTA | {"delta": 5}, r"\$\.delta: 5 is not of type 'string'", id="value"),
        pytest.param({k: v for k, v in DELTA.items() if k != "logprobs"}, "logprobs", id="missing"),
    ],
)
def test_another_event_is_refused(event: dict[str, Any], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        validate_event(event)
