"""The look-alikes of embeddings, asked as the references say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.lookalikes.embeddings import (
    GeminiEmbeddings,
    OllamaEmbeddings,
    OpenAIEmbeddings,
    vector_of,
)

Json = dict[str, Any]
KEY = {"authorization": "Bearer k"}


def test_openais() -> None:
    import openai

    with (
        OpenAIEmbeddings() as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="k") as sdk,
    ):
        model = "text-embedding-3-small"
        for form in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
            answer = sdk.embeddings.create(model=model, input=["a", "bb"], dimensions=3, **form)  # type: ignore[arg-type]
            assert len(answer.data) == 2
        assert sdk.embeddings.create(model=model, input="a").data[0].embedding == vector_of("a")
        with pytest.raises(openai.NotFoundError):
            sdk.embeddings.create(model="gpt-5", input="a")
        for wrong in (
            {"input": [""]},
            {"input": "a", "seed": 1},
            {"input": "a", "encoding_format": "x"},
        ):
            body = {"model": model, **wrong}
            url = f"{server.url}/v1/embeddings"
            assert httpx.post(url, json=body, headers=KEY).status_code == 400, wrong
        assert httpx.post(url, json={"model": model, "input": "a"}).status_code == 401


def test_geminis() -> None:
    part = {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}}
    with GeminiEmbeddings() as server:
        url = f"{server.url}/v1beta/models/gemini-embedding-001:batchEmbedContents"
        key = {"x-goog-api-key": "k"}
        two = [part, {**part, "outputDimensionality": 3}]
        found = httpx.post(url, json={"requests": two}, headers=key).json()["embeddings"]
        assert [each["values"] for each in found] == [vector_of("a"), vector_of("a", 3)]
        assert httpx.post(url, json={"requests": [part] * 101}, headers=key).status_code == 400
        assert httpx.post(url, json={"requests": two}).status_code == 403
        lost = url.replace("gemini-embedding-001", "gemini-2.5-flash")
        assert httpx.post(lost, json={"requests": two}, headers=key).status_code == 404


def test_ollamas() -> None:
    with OllamaEmbeddings() as server:
        asked: Json = {"model": "nomic-embed-text", "input": ["a", "bb"]}
        found = httpx.post(f"{server.url}/api/embed", json=asked).json()
        assert found["embeddings"] == [vector_of("a"), vector_of("bb")]
        for wrong, status in (({"model": "x"}, 404), ({"input": [1]}, 400)):
            answer = httpx.post(f"{server.url}/api/embed", json=asked | wrong)
            assert answer.status_code == status
            assert answer.json()["error"]
