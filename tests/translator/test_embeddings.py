"""How embeddings are asked for, with a function of the tests' in the place of LiteLLM's; and the translator's route."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.testclient import TestClient

from neurolink_mitm.core.openai.embeddings import EmbeddingsRequest
from neurolink_mitm.core.providers.errors import ProviderError
from neurolink_mitm.core.providers.translator import Access, Setup
from neurolink_mitm.translator.app import make_app
from neurolink_mitm.translator.embeddings import Embeddings
from tests.lookalikes.embeddings import (
    GeminiEmbeddings,
    OllamaEmbeddings,
    OpenAIEmbeddings,
    vector_of,
)
from tests.lookalikes.script import fail
from tests.translator.running import KEY, Json, Running
from tests.translator.scripted import Engine, Scripted

ACCESS = Access(KEY, "http://h/v1")


@dataclass
class Answer:
    """As LiteLLM's `EmbeddingResponse`."""

    data: Any
    usage: Any = None


@dataclass
class Usage:
    prompt_tokens: int
    total_tokens: int = 0


class RefusedError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status_code = status


def answered(arguments: Json) -> Answer:
    vectors = [vector_of(each, arguments.get("dimensions", 8)) for each in arguments["input"]]
    packed = arguments.get("encoding_format") == "base64"
    data = [{"index": n, "embedding": pack(v) if packed else v} for n, v in enumerate(vectors)]
    return Answer(data[::-1], Usage(len(vectors)))


def pack(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


@dataclass
class FakeLiteLlm:
    answer: Callable[[Json], Answer] = answered
    asked: list[Json] = field(default_factory=list)

    async def aembedding(self, **arguments: Any) -> Answer:
        self.asked.append(arguments)
        return self.answer(arguments)


def ask(litellm: FakeLiteLlm, provider: str = "openai", model: str = "m", **fields: Any) -> Json:
    request = EmbeddingsRequest("x", **{"inputs": ["a"], **fields})
    body = asyncio.run(Embeddings(litellm).ask(provider, model, ACCESS, request))
    return dict(json.loads(body))


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize(
    ("provider", "lists"), [("openai", [256, 256, 88]), ("google-ai", [100] * 6)]
)
def test_a_long_list_is_asked_in_parts_and_answered_as_one(
    provider: str, lists: list[int], encoding: Any
) -> None:
    litellm = FakeLiteLlm()
    inputs = [str(n) for n in range(600)]
    found = ask(litellm, provider, inputs=inputs, encoding=encoding)
    assert [len(each["input"]) for each in litellm.asked] == lists
    assert [each["index"] for each in found["data"]] == list(range(600))
    vectors = [vector_of(each) for each in inputs]
    expected = [pack(each) for each in vectors] if encoding == "base64" else vectors
    assert [each["embedding"] for each in found["data"]] == expected
    assert found["usage"] == {"prompt_tokens": 600, "total_tokens": 600}


def test_what_litellm_is_asked_with() -> None:
    litellm = FakeLiteLlm()
    ask(litellm, dimensions=3, user="me")
    ask(litellm, "ollama", user="me")
    access = {"api_key": KEY, "api_base": "http://h/v1", "num_retries": 0, "max_retries": 0}
    assert litellm.asked == [
        {
            "model": "openai/m",
            "input": ["a"],
            "encoding_format": "base64",
            "user": "me",
            "dimensions": 3,
            "allowed_openai_params": ["dimensions"],
            **access,
        },
        {"model": "ollama/m", "input": ["a"], **access},
    ]


def test_a_server_without_base64_is_asked_for_numbers_from_then_on() -> None:
    def answer(arguments: Json) -> Answer:
        if arguments["encoding_format"] == "base64":
            raise RefusedError(400, "encoding_format: only float is supported")
        return answered(arguments)

    litellm = FakeLiteLlm(answer)
    embeddings = Embeddings(litellm)
    for _ in range(2):
        body = asyncio.run(embeddings.ask("openai", "m", ACCESS, EmbeddingsRequest("x", ["a"])))
        assert json.loads(body)["data"][0]["embedding"] == vector_of("a")
    assert [each["encoding_format"] for each in litellm.asked] == ["base64", "float", "float"]


@pytest.mark.parametrize(
    "error", [RefusedError(400, "too long"), RefusedError(500, "no base64 today")], ids=str
)
def test_any_other_error_is_no_reason_to_ask_again(error: RefusedError) -> None:
    def answer(arguments: Json) -> Answer:
        raise error

    litellm = FakeLiteLlm(answer)
    with pytest.raises(RefusedError):
        ask(litellm)
    assert len(litellm.asked) == 1


@pytest.mark.parametrize(
    "data",
    [None, [], [{"embedding": [1.0]}] * 2, [{"embedding": None}], [{"embedding": []}],
     [{"embedding": "no base64!"}], [{"embedding": [[1.0]]}], [{"embedding": ["a"]}], [{}]],
    ids=["nothing", "none", "too many", "null", "empty", "a text", "a list of lists", "words", "another form"],
)  # fmt: skip
def test_an_answer_without_a_vector_for_each_input_is_none(data: Any) -> None:
    with pytest.raises(ProviderError, match="gave no 1 vectors") as caught:
        ask(FakeLiteLlm(lambda arguments: Answer(data, Usage(1))))
    assert caught.value.status == 502


def test_other_dimensions_than_asked_for_are_no_answer() -> None:
    def answer(arguments: Json) -> Answer:
        return Answer([{"index": 0, "embedding": [0.5] * 8}], Usage(1))

    with pytest.raises(ProviderError, match="vectors of 8 dimensions, not of 3") as caught:
        ask(FakeLiteLlm(answer), dimensions=3)
    assert caught.value.status == 400


@pytest.mark.parametrize("usage", [None, Usage(0)])
def test_tokens_that_nobody_counts_are_estimated(usage: Usage | None) -> None:
    def answer(arguments: Json) -> Answer:
        return Answer([{"embedding": [0.5]}], usage)

    assert ask(FakeLiteLlm(answer), inputs=["three words here"])["usage"]["prompt_tokens"] == 5
    assert ask(FakeLiteLlm(answer), inputs=[[1, 2]])["usage"]["prompt_tokens"] == 2


# The route


def posted(body: bytes, **headers: str) -> Any:
    engine = Engine()
    engine.providers["openai"] = Scripted()
    setup = Setup("s", {}, {"openai": ACCESS})
    shown = {
        "authorization": "Bearer s",
        "x-neurolink-provider": "openai",
        "x-neurolink-model": "m",
    }
    client = TestClient(make_app(engine, lambda: setup))
    return client.post("/v1/embeddings", content=body, headers=shown | headers)


def test_who_lacks_the_secret_is_refused() -> None:
    assert posted(b"{}", authorization="Bearer other").status_code == 403


def test_an_answer_is_openais_and_an_error_anthropics() -> None:
    answer = posted(b'{"model": "x", "input": "a"}')
    assert answer.json()["data"][0]["embedding"] == vector_of("a")
    for body in (b"nope", b'{"model": "x", "input": [1, "a"]}'):
        refused = posted(body)
        assert refused.status_code == 400
        assert refused.json()["error"]["type"] == "invalid_request_error"


# Through LiteLLM


@pytest.mark.real("litellm")
@pytest.mark.timeout(120)
def test_litellm_asks_each_provider(translator: Running) -> None:
    with OpenAIEmbeddings() as openai, GeminiEmbeddings() as gemini, OllamaEmbeddings() as ollama:
        like = Access(KEY, openai.url + "/v1")
        translator.configure(
            **{"openai": like, "mistral": like, "lm_studio": like, "hosted_vllm": like, "openrouter": like,
               "together_ai": like, "voyage": Access(KEY, openai.url + "/v1/embeddings"),
               "jina_ai": Access(KEY, openai.url + "/v1"), "google-ai": Access(KEY, gemini.url + "/v1beta"),
               "ollama": Access(None, ollama.url)}
        )  # fmt: skip

        def asked(provider: str, **fields: Any) -> Any:
            model = {"google-ai": "gemini-embedding-001", "ollama": "nomic-embed-text"}.get(
                provider
            )
            body = {"model": "x", "input": ["a", "bb"], **fields}
            path = "/v1/embeddings"
            return translator.ask(provider, model or "text-embedding-3-small", body, path=path)

        for provider in ("openai", "mistral", "lm_studio", "hosted_vllm", "openrouter", "together_ai",
                         "voyage", "jina_ai", "google-ai", "ollama"):  # fmt: skip
            answer = asked(provider)
            assert answer.status_code == 200, answer.text
            found = [each["embedding"] for each in answer.json()["data"]]
            assert found == [vector_of("a"), vector_of("bb")], provider
        tokens = [[9906, 1917], [9906]]
        assert asked("openai", input=tokens).status_code == 200
        assert openai.last["input"] == tokens, "as they are"
        assert asked("google-ai", input=tokens).status_code == 200
        assert gemini.inputs(gemini.last) == ["Hello world", "Hello"], "as texts"
        assert asked("google-ai", input=[[4_000_000_000]]).status_code == 400
        references = ["files/readme.md", "gs://bucket/a.png", "data:image/png;base64,eA==", "file"]
        assert len(asked("google-ai", input=references).json()["data"]) == 4, "texts all the same"
        assert gemini.inputs(gemini.last) == [*(f" {each}" for each in references[:3]), "file"]
        openai.script.add(fail(429, retry_after=7))
        before = len(openai.requests)
        limited = asked("openai")
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
        assert len(openai.requests) == before + 1, "the proxy asks again, not LiteLLM"
        for served in (openai, gemini, ollama):
            served.assert_no_anthropic_credentials()
