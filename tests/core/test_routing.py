from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.routing import Asked, is_as_taken, kind_of, not_served, read_body

GOOD: dict[str, Any] = {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}


def asked(**more: Any) -> Asked:
    return read_body(json.dumps(GOOD | more).encode())


# --- by the line


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/", Kind.LOCAL),
        ("HEAD", "/", Kind.LOCAL),
        ("GET", "/health", Kind.LOCAL),
        ("HEAD", "/health", Kind.LOCAL),
        ("GET", "/health?verbose=1", Kind.LOCAL),
        ("GET", "/status", Kind.LOCAL),
        ("GET", "/v1/models", Kind.LOCAL),
        ("GET", "/v1/models?limit=1000", Kind.LOCAL),
        ("GET", "/v1/models/claude-x", Kind.API),
        ("POST", "/v1/models", Kind.API),
        ("POST", "/v1/messages", Kind.MESSAGES),
        ("POST", "/v1/messages?beta=true", Kind.MESSAGES),
        ("GET", "/v1/messages", Kind.API),
        ("POST", "/v1/messages/", Kind.API),
        ("POST", "/v1/messages/count_tokens", Kind.COUNT_TOKENS),
        ("POST", "/v1/messages/count_tokens?beta=true", Kind.COUNT_TOKENS),
        ("POST", "/v1/messages/batches", Kind.API),
        ("GET", "/v1/", Kind.API),
        ("GET", "/v1", Kind.FORWARD),
        ("GET", "/v10/messages", Kind.FORWARD),
        ("POST", "/", Kind.FORWARD),
        ("POST", "/health", Kind.LOCAL),
        ("POST", "/admin/reset", Kind.LOCAL),
        ("GET", "/admin/reset", Kind.LOCAL),
        ("DELETE", "/admin/reset", Kind.LOCAL),
        ("OPTIONS", "/status", Kind.LOCAL),
        ("GET", "/healthy", Kind.FORWARD),
        ("GET", "/api/oauth/profile", Kind.FORWARD),
        ("GET", "/x?/v1/messages", Kind.FORWARD),
        ("OPTIONS", "*", Kind.FORWARD),
    ],
)
def test_kind_of(method: str, path: str, kind: Kind) -> None:
    assert kind_of(method, path) is kind


@given(st.sampled_from(["GET", "HEAD", "POST"]), st.from_regex(r"/[a-z1/_]{0,9}"), st.text("?/a&"))
def test_the_query_does_not_count(method: str, path: str, query: str) -> None:
    assert kind_of(method, f"{path}?{query}") is kind_of(method, path)


@pytest.mark.parametrize(
    ("kind", "path", "as_taken"),
    [
        (Kind.MESSAGES, "/v1/messages?beta=true", True),
        (Kind.MESSAGES, "/v1/files", False),
        (Kind.MESSAGES, "/api/oauth/profile", False),
        (Kind.API, "/v1/files", True),
        (Kind.API, "/v1/messages", False),
        (Kind.API, "/v1/../api/oauth/profile", False),
        (Kind.FORWARD, "/api/oauth/profile", True),
        (Kind.FORWARD, "/v1/messages", False),
        (Kind.FORWARD, "/healthy", True),
    ],
)
def test_a_path_that_has_become_anothers(kind: Kind, path: str, as_taken: bool) -> None:
    assert is_as_taken(kind, "POST", path) == as_taken


# --- by the body


def test_the_least_that_can_be_asked() -> None:
    assert asked() == Asked("claude-x", stream=False, tool_count=0, session_id=None)


def test_all_that_is_read() -> None:
    more = {
        "stream": True,
        "tools": [{}, {"name": "b"}],
        "metadata": {"user_id": "u_session_12345678"},
    }
    assert asked(**more) == Asked("claude-x", True, 2, "12345678", "u_session_12345678")


@pytest.mark.parametrize(
    "more",
    [
        {"stream": None, "tools": None, "metadata": None},
        {"stream": False, "tools": [], "metadata": {}},
        {"metadata": {"user_id": None}},
        {"messages": []},
        {"messages": [1, "two", [3]], "system": {"odd": True}},
    ],
    ids=["null", "empty", "no-user", "no-messages", "odd-messages"],
)
def test_what_is_not_there_is_not_asked_for(more: dict[str, Any]) -> None:
    assert asked(**more) == Asked("claude-x", stream=False, tool_count=0, session_id=None)


@pytest.mark.parametrize(
    ("body", "explained"),
    [
        (b"", "the body is not valid JSON: Input data was truncated"),
        (b"hi", "the body is not valid JSON: JSON is malformed: invalid character (byte 0)"),
        (b"{}", "missing required field `model`"),
        (b'{"model":"m"}', "missing required field `messages`"),
        (b'{"model":1,"messages":[]}', "Expected `str`, got `int` - at `model`"),
        (b'{"model":"m","messages":"hi"}', "Expected `array`, got `str` - at `messages`"),
        (
            b'{"model":"m","messages":[],"stream":"yes"}',
            "Expected `bool | null`, got `str` - at `stream`",
        ),
        (
            b'{"model":"m","messages":[],"metadata":{"user_id":7}}',
            "Expected `str | null`, got `int` - at `metadata.user_id`",
        ),
        (b"[]", "Expected `object`, got `array`"),
        (b"[" * 200_000, "Expected `object`, got `array`"),
        (b'{"x":' + b"[" * 200_000, "the body is nested too deeply"),
    ],
    ids=["empty", "text", "nothing", "no-messages", "model", "messages", "stream", "user-id",
         "list", "deep-list", "deep"],
)  # fmt: skip
def test_a_bad_body_is_explained(body: bytes, explained: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(explained)}$"):
        read_body(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"\xff","messages":[]}',
        b'{"model":"\\ud800","messages":[]}',
        b"\xff\xfe{\x00}\x00",
    ],
    ids=["no-utf-8", "half-a-surrogate", "utf-16"],
)
def test_a_body_that_is_no_text_is_not_valid_json(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the body is not valid JSON: "):
        read_body(body)


def test_a_hostile_session_does_not_make_the_body_bad() -> None:
    """It is only looked at for the log."""
    assert asked(metadata={"user_id": '{"x":' + "[" * 200_000}).session_id is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.binary()
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("model", "messages", "stream", "tools", "metadata"), json_values),
    ).map(lambda value: json.dumps(value).encode())
)
def test_a_body_is_read_or_refused(body: bytes) -> None:
    try:
        seen = read_body(body)
    except ValueError:
        return
    assert isinstance(seen.model, str)


# --- by the model


def test_a_model_that_nobody_serves() -> None:
    assert not_served("gpt-9", ["claude-a", "claude-b"]) == Reply(
        404,
        "not_found_error",
        "model: 'gpt-9' is not served here. Ask for: claude-a, claude-b",
    )


def test_a_long_name_is_not_told_in_full() -> None:
    assert len(not_served("x" * 10_000, []).message) < 200
