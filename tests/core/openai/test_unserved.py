from __future__ import annotations

import pytest
import yaml

from neurolink_mitm.core.openai.unserved import not_mapped, refusal
from neurolink_mitm.core.providers.models import newest
from neurolink_mitm.core.request.headers import Fields

UPGRADE: Fields = ((b"connection", b"Upgrade"), (b"Upgrade", b"websocket"))


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("POST", "/v1/completions", 404, "POST /v1/chat/completions"),
        ("GET", "/v1/images/generations?x=1", 404, "GET /v1/images/generations is not served"),
        ("GET", "/v1/responses/resp_1", 404, "not served"),
        ("GET", "/v1/chat/completions", 405, "it takes POST"),
        ("DELETE", "/v1/embeddings", 405, "it takes POST"),
        ("POST", "/chat/completions", 404, "it is /v1/chat/completions, so the base URL"),
        ("POST", "/v1//responses/", 404, "it is /v1/responses, so the base URL"),
        ("GET", "/v1/" + "x" * 500, 404, "x" * 116 + " is not"),
    ],
)
def test_refusal(method: str, path: str, status: int, text: str) -> None:
    refused = refusal(method, path, ())
    assert refused.status == status
    assert text in str(refused)


def test_a_websocket_is_refused_so_that_codex_goes_on_by_http() -> None:
    assert refusal("GET", "/v1/responses", UPGRADE).status == 426
    assert refusal("GET", "/v1/realtime", UPGRADE).status == 404


@pytest.mark.parametrize("model", ["gpt-4o", "gpt: #4", 'a"b', "x" * 500, "\u00e9"])
def test_the_lines_that_map_a_model_are_yaml(model: str) -> None:
    refused = not_mapped(model, ["claude-opus-4-6", "claude-sonnet-4-5"])
    assert (refused.status, refused.code, refused.param) == (404, "model_not_found", "model")
    lines = str(refused).partition("routing:")
    mapping = {"from": model[:120], "to": newest("sonnet"), "provider": "anthropic"}
    assert yaml.safe_load(lines[1] + lines[2]) == {"routing": {"model-mappings": [mapping]}}
