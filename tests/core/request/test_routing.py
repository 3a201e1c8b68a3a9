from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.exchange import Kind, Reply
from neurolink_mitm.core.request.routing import is_as_taken, kind_of, not_served

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
        ("HEAD", "/ready", Kind.LOCAL),
        ("DELETE", "/ready?x", Kind.LOCAL),
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


# --- by the model


def test_a_model_that_nobody_serves() -> None:
    assert not_served("gpt-9", ["claude-a", "claude-b"]) == Reply(
        404,
        "not_found_error",
        "model: 'gpt-9' is not served here. Ask for: claude-a, claude-b",
    )


def test_a_long_name_is_not_told_in_full() -> None:
    assert len(not_served("x" * 10_000, []).message) < 200
