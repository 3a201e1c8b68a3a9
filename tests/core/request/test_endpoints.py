from __future__ import annotations

import pytest

from neurolink_mitm.core.request import endpoints
from neurolink_mitm.core.request.endpoints import described, endpoint_of, is_inference, parts, scope


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/messages", "messages"),
        ("/v1/messages?beta=true", "messages"),
        ("/v1/messages/count_tokens?beta=true", "count_tokens"),
        ("/v1/messages/batches", "batches"),
        ("/v1/messages/batches/msgbatch_1/results", "batches"),
        ("/v1/files?limit=20", "files"),
        ("/v1/files/file_1/content", "files"),
        ("/v1/filesystem", "other"),
        ("/v1/messages/other", "other"),
        ("/v1/models/claude-opus-4-6", "other"),
        ("/v1/sessions/x", "other"),
        ("/v1/mcp_servers", "other"),
    ],
)
def test_the_endpoint_of_a_path(path: str, endpoint: str) -> None:
    assert endpoint_of(path) == endpoint


def test_only_messages_and_counting_tell_of_the_account() -> None:
    assert [each for each in endpoints.ENDPOINTS if is_inference(each)] == [
        "messages",
        "count_tokens",
        "embeddings",
    ]


@pytest.mark.parametrize(
    ("endpoint", "models", "written"),
    [
        ("messages", "*", "*"),
        ("messages", "*opus*", "*opus*"),
        ("messages", "anthropic.claude-v1:0", "anthropic.claude-v1:0"),
        ("messages", "files:*", "messages:files:*"),
        ("count_tokens", "*", "count_tokens:*"),
        ("count_tokens", "claude-opus-4-6", "count_tokens:claude-opus-4-6"),
        ("other", "*", "other:*"),
    ],
)
def test_a_scope_is_read_as_it_was_written(endpoint: str, models: str, written: str) -> None:
    """Clients choose the names of models: none of them is taken for an endpoint."""
    assert scope(endpoint, models) == written
    assert parts(written) == (endpoint, models)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("*", ""),
        ("*opus*", "*opus*"),
        ("count_tokens:*", "count_tokens"),
        ("count_tokens:*opus*", "count_tokens of *opus*"),
    ],
)
def test_in_words(name: str, words: str) -> None:
    assert described(name) == words
