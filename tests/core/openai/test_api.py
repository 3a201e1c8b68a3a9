from __future__ import annotations

import pytest

from neurolink_mitm.core.openai.api import Api, api_of


@pytest.mark.parametrize(
    ("api", "paths"),
    [
        (Api.CHAT, ["/v1/chat/completions", "/v1/chat/completions?stream=1"]),
        (Api.RESPONSES, ["/v1/responses", "/v1/responses?"]),
        (Api.EMBEDDINGS, ["/v1/embeddings"]),
        (
            Api.OPENAI,
            [
                "/v1/completions",
                "/v1/images/generations",
                "/v1/audio/speech",
                "/v1/fine_tuning/jobs",
                "/v1/fine-tunes",
                "/v1/responses/resp_1/cancel",
                "/v1/chat/completions/chatcmpl-1",
                "/v1/vector_stores",
                "/v1/batches",
                "/v1/organization/usage/costs",
            ],
        ),
        (
            Api.OPENAI,
            [
                "/v1/chat/completions/",
                "/v1//chat/completions",
                "/V1/Chat/Completions",
                "/chat/completions",
                "/responses",
                "/v1/chat%2Fcompletions",
                "/v1/%72esponses",
            ],
        ),
        (
            Api.ANTHROPIC,
            [
                "/",
                "/v1/messages",
                "/v1/messages/batches",
                "/v1/models",
                "/v1/models/responses",
                "/v1/files",
                "/v1/skills",
                "/v1/complete",
                "/v1/organizations/me",
                "/v1/response",
                "/chat",
                "/api/oauth/usage",
            ],
        ),
    ],
    ids=["chat", "responses", "embeddings", "not served", "alike", "anthropic"],
)
def test_api_of_a_post(api: Api, paths: list[str]) -> None:
    assert {path: api_of("POST", path) for path in paths} == dict.fromkeys(paths, api)


def test_another_method_is_not_served() -> None:
    assert api_of("GET", "/v1/responses") is Api.OPENAI
    assert api_of("post", "/v1/chat/completions") is Api.OPENAI
