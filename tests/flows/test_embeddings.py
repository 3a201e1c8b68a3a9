"""Embeddings of other providers, for clients that speak OpenAI's API."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.settings.values import ModelMapping, Routing, Timeouts
from neurolink_mitm.core.shaping.pipeline import Pipeline
from neurolink_mitm.ports import Runtime
from tests.flows.fallen import Fallen, Setting
from tests.flows.harness import CLAUDE_CODE, LIMIT, message
from tests.lookalikes.embeddings import (
    GeminiEmbeddings,
    OllamaEmbeddings,
    OpenAIEmbeddings,
    vector_of,
)
from tests.lookalikes.script import Reply, fail
from tests.translator.providers import Kind

if TYPE_CHECKING:
    import openai

OPENAI = Kind("OpenAI", "openai", "text-embedding-3-small", OpenAIEmbeddings, "/v1")
GEMINI = Kind("Gemini", "google-ai", "gemini-embedding-001", GeminiEmbeddings, "/v1beta")
OLLAMA = Kind("Ollama", "ollama", "nomic-embed-text", OllamaEmbeddings, "")
MAPPED = Routing(
    model_mappings=(
        ModelMapping("text-embedding-ada-002", GEMINI.model, GEMINI.name),
        ModelMapping("mine", OPENAI.model, OPENAI.name),
        ModelMapping("gpt-5", "gpt-5", "openai"),
    )
)
BY_NAME = f"{OPENAI.name}/{OPENAI.model}"


def ask(them: Fallen, **fields: Any) -> httpx.Response:
    """Ask as no SDK would, perhaps."""
    body = {"model": BY_NAME, "input": "hello"} | fields
    url = f"{them.proxy.url}/v1/embeddings"
    return httpx.post(url, json=body, headers={"authorization": "Bearer any"}, timeout=LIMIT)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert set(answer.json()) == {"error"}, "OpenAI's form"
    return dict(error)


def words_of(answer: httpx.Response) -> str:
    return str(error_of(answer)["message"])


def priced(runtime: Runtime) -> None:
    runtime.prices = shipped_prices()


def sdk_of(them: Fallen) -> openai.OpenAI:
    import openai

    return openai.OpenAI(
        base_url=f"{them.proxy.url}/v1", api_key="any", max_retries=0, timeout=LIMIT
    )


@pytest.mark.real("litellm")
@pytest.mark.parametrize("kind", [OPENAI, GEMINI, OLLAMA], ids=lambda kind: kind.name)
def test_through_litellm(through_litellm: Setting, kind: Kind) -> None:
    them = through_litellm(kind, routing=Routing(), change=priced)
    asks_for_embeddings(them, kind)
    assert "sk-ant" not in "".join(them.asked.seen)
    missing = ask(them, model=f"{kind.name}/unknown")
    assert missing.status_code == 404
    assert "does not know this model" in words_of(missing)
    assert (error_of(missing)["param"], error_of(missing)["code"]) == ("model", "model_not_found")
    them.lookalikes[kind.name].script.add(fail(429, retry_after=60))
    limited = ask(them, model=f"{kind.name}/{kind.model}")
    assert limited.status_code == 429
    assert int(limited.headers["retry-after"]) in range(50, 62)


@pytest.mark.real("litellm")
def test_an_answer_may_take_its_time_and_a_client_that_leaves_is_not_paid_for(
    through_litellm: Setting,
) -> None:
    def impatient(runtime: Runtime) -> None:
        runtime.config = replace(runtime.config, timeouts=Timeouts(first_event=0.3))

    them = through_litellm(OPENAI, routing=Routing(), change=impatient)
    them.lookalikes["openai"].script.add(Reply(delay=0.6), Reply(delay=LIMIT))
    assert ask(them).headers["x-neurolink-attempts"] == "1"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{them.proxy.url}/v1/embeddings", json={"model": BY_NAME, "input": "a"}, timeout=1
        )
    them.lookalikes["openai"].wait_for_leaving()
    row = them.proxy.rows.wait(2)[1]
    assert row.outcome == "client_cancelled"


def test_with_an_engine_of_the_tests(fallen: Setting) -> None:
    asks_for_embeddings(fallen(OPENAI, routing=Routing(), change=priced), OPENAI)


def asks_for_embeddings(them: Fallen, kind: Kind) -> None:
    """The official SDK asks in all forms; by default for base64."""
    with sdk_of(them) as client:
        model = f"{kind.name}/{kind.model}"
        answer = client.embeddings.create(model=model, input="hello")
        assert answer.data[0].embedding == vector_of("hello")
        assert (answer.object, answer.model) == ("list", kind.model)
        assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
        several = client.embeddings.create(model=model, input=["a", "bb"], encoding_format="float")
        assert [(each.index, each.embedding) for each in several.data] == [
            (0, vector_of("a")),
            (1, vector_of("bb")),
        ]
        if kind is not OLLAMA:
            short = client.embeddings.create(model=model, input="hello", dimensions=3)
            assert short.data[0].embedding == vector_of("hello", 3)
        many = client.embeddings.create(model=model, input=[f"{n}" for n in range(600)])
        assert [each.index for each in many.data] == list(range(600))
        assert many.data[599].embedding == vector_of("599")
    row = them.proxy.rows.wait()[0]
    assert (row.api, row.provider, row.actualModel) == ("openai-embeddings", kind.name, kind.model)
    assert (row.outcome, row.account, row.attempts) == ("complete", f"{kind.name}/*", 1)
    assert (row.inputTokens or 0) > 0
    assert not row.outputTokens
    assert (row.costUsd is None) == (kind is OLLAMA)


def test_a_mapping_leads_to_its_provider(fallen: Setting) -> None:
    them = fallen(OPENAI, GEMINI, routing=MAPPED)
    assert ask(them, model="text-embedding-ada-002").json()["model"] == GEMINI.model
    answer = ask(them, model="mine")
    assert answer.json()["model"] == OPENAI.model
    assert answer.headers["x-neurolink-account"] == BY_NAME
    assert them.sandbox.requests == [], "never the pool"


def test_who_can_not_be_asked_is_a_404_that_says_what_to_do(fallen: Setting) -> None:
    them = fallen(OPENAI, routing=Routing())
    for model, words in {
        "text-embedding-3-small": "model-mappings: [{from: text-embedding-3-small",
        "claude-sonnet-4-6": "Anthropic has no embeddings",
        "gemini/gemini-embedding-001": "GEMINI_API_KEY",
    }.items():
        answer = ask(them, model=model)
        assert answer.status_code == 404
        error = error_of(answer)
        assert words in error["message"]
        assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert them.sandbox.requests == []


def test_a_limit_is_of_embeddings_alone(fallen: Setting) -> None:
    them = fallen(OPENAI, routing=MAPPED)
    them.lookalikes["openai"].script.add(fail(429, retry_after=60))
    for model in (BY_NAME, "mine"):  # both are asked on the entry that the mapping has made
        answer = ask(them, model=model)
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) in range(1, 62)
    assert len(them.lookalikes["openai"].requests) == 1
    url = f"{them.proxy.url}/v1/messages"
    chat = httpx.post(url, json=message(model="gpt-5"), headers=CLAUDE_CODE, timeout=LIMIT)
    assert chat.status_code == 200, "messages go on"


def test_trouble_is_tried_again_and_a_fault_is_not(fallen: Setting) -> None:
    them = fallen(OPENAI, routing=Routing())
    script = them.lookalikes["openai"].script
    script.add(fail(500))
    assert ask(them).headers["x-neurolink-attempts"] == "2"
    script.add(fail(500), fail(503))
    assert ask(them).status_code in (503, 529)
    words = "This model's maximum context length is 8192 tokens, however you requested 9000 tokens"
    script.add(fail(400, words))
    refused = ask(them)
    assert (refused.status_code, refused.headers["x-neurolink-attempts"]) == (400, "1")
    error = error_of(refused)
    assert "too long" in error["message"]
    assert (error["param"], error["code"]) == ("input", "context_length_exceeded")
    script.add(fail(404, "The model does not exist"))
    assert ask(them).status_code == 404
    assert ask(them).status_code == 200, "an unknown model is no reason to leave the others alone"


def test_a_compressed_request_is_unpacked(fallen: Setting) -> None:
    them = fallen(OPENAI, routing=Routing())
    body = gzip.compress(json.dumps({"model": BY_NAME, "input": "hello"}).encode())
    url = f"{them.proxy.url}/v1/embeddings"
    answer = httpx.post(url, content=body, headers={"content-encoding": "gzip"}, timeout=LIMIT)
    assert answer.json()["data"][0]["embedding"] == vector_of("hello")
    broken = httpx.post(url, content=body[:9], headers={"content-encoding": "gzip"}, timeout=LIMIT)
    assert broken.status_code == 400
    error_of(broken)


def test_what_is_wrong_is_refused_before_anybody_is_asked(fallen: Setting) -> None:
    them = fallen(OPENAI, routing=Routing())
    for field, value in {"input": [], "dimensions": "3", "encoding_format": 1, "user": {}}.items():
        answer = ask(them, **{field: value})
        assert (answer.status_code, error_of(answer)["param"]) == (400, field)
    answer = ask(them, input=["a", 1])
    assert error_of(answer)["param"] == "input[1]"
    assert them.lookalikes["openai"].requests == []


def test_a_cap_needs_a_price(fallen: Setting) -> None:
    them = fallen(OPENAI, routing=Routing(daily_cap_usd=1.0), change=priced)
    assert ask(them).status_code == 200
    answer = ask(them, model="openai/text-embedding-4-unheard-of")
    assert answer.status_code == 400
    assert "its price is not known" in error_of(answer)["message"]
    them.proxy.runtime.pool.budget.spent, them.proxy.runtime.pool.budget.day_ends_at = 2.0, 1e12
    assert "daily-cap-usd is reached" in words_of(ask(them))


def test_words_are_hidden_in_the_input(fallen: Setting) -> None:
    plugins = Plugins(word_obfuscator=shaping.WordObfuscator(True, ("bluebird",)))
    pipeline = Pipeline.of(Cloaking("always", plugins), b"a key of the tests", ())
    them = fallen(
        OPENAI, routing=Routing(), change=lambda runtime: setattr(runtime, "shaping", pipeline)
    )
    assert ask(them, input=["the bluebird", "plain"]).status_code == 200
    asked = them.lookalikes["openai"].requests[0]["asked"].inputs
    assert "bluebird" not in asked[0]
    assert asked[0].startswith("the ")
    assert asked[1] == "plain"
    assert "x-neurolink" in them.asked.seen[0]
    assert "bluebird" not in them.asked.seen[0]
    tokens = ask(them, input=[[9906, 1917]])
    assert tokens.status_code == 400
    assert "token ids" in words_of(tokens)
