from __future__ import annotations

import pytest

from neurolink_mitm.core.openai.errors import RequestError
from neurolink_mitm.core.providers.catalog import missing_access
from neurolink_mitm.core.providers.destinations import Route, all_asked, entries, with_embeddings
from neurolink_mitm.core.providers.embeddings import embeddings_route
from neurolink_mitm.core.settings.values import Config, Fallback, ModelMapping, Provider, Routing

ENVIRON = {"OPENAI_API_KEY": "k"}
CONFIG = Config(
    routing=Routing(
        model_mappings=(
            ModelMapping("*", "claude-sonnet-4-6"),
            ModelMapping("text-embedding-*", "mistral-embed", "mistral"),
            ModelMapping("text-embedding-ada-002", "nomic-embed-text", "ollama"),
            ModelMapping("openai/mine", "text-embedding-3-large", "openai"),
            ModelMapping("fast", "llama-3", "groq"),
        ),
        fallback_chain=(Fallback("openai", "text-embedding-3-small"), Fallback("deepseek", "v3")),
    )
)
ENTRIES = entries(CONFIG, ENVIRON)


def routed(model: str) -> Route:
    return embeddings_route(
        model, CONFIG.routing, ENTRIES, lambda name: missing_access(name, CONFIG.providers, ENVIRON)
    )


@pytest.mark.parametrize(
    ("model", "entry", "asked"),
    [
        ("text-embedding-ada-002", "ollama/nomic-embed-text", "nomic-embed-text"),
        ("text-embedding-3-small", "mistral/mistral-embed", "mistral-embed"),
        ("openai/text-embedding-3-large", "openai/text-embedding-3-large", "text-embedding-3-large"),
        ("openai/text-embedding-ada-002", "openai/*", "text-embedding-ada-002"),
        ("openai/mine", "openai/text-embedding-3-large", "text-embedding-3-large"),
        ("ollama/nomic-embed-text:v1.5", "ollama/*", "nomic-embed-text:v1.5"),
        ("lmstudio/a/b", "lm_studio/*", "a/b"),
    ],
    ids=["exact", "wildcard", "by name, an entry of its own", "by name", "exact before its name", "a free one",
         "an alias"],
)  # fmt: skip
def test_one_provider_is_asked_and_never_the_pool(model: str, entry: str, asked: str) -> None:
    route = routed(model)
    assert (route.entries, route.model, route.pool) == ((entry,), asked, False)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("gpt-embed", "{from: gpt-embed, to: gpt-embed, provider: openai}"),
        ("claude-sonnet-4-6", "Anthropic has no embeddings"),
        ("anthropic/claude-sonnet-4-6", "Anthropic has no embeddings"),
        ("voyage-3", "provider: voyage}]}. voyage needs a key as well: no key: set VOYAGE_API_KEY"),
        ("gemini/gemini-embedding-001", "google-ai can't be asked: no key: set GEMINI_API_KEY"),
        ("together_ai/x", "name it under providers"),
        ("groq/llama", "groq has no embeddings"),
        ("fast", "groq, which it is mapped to, has no embeddings"),
        ("openai/*", "a pattern"),
        ("BAAI/bge-m3", "Ask for openai/BAAI/bge-m3"),
        ("", "no provider is named"),
    ],
)
def test_another_model_is_a_404_that_says_what_to_do(model: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        routed(model)
    error = caught.value
    assert words in str(error)
    assert (error.status, error.param, error.code) == (404, "model", "model_not_found")


def test_who_has_a_key_can_be_asked_and_those_in_the_configuration() -> None:
    assert with_embeddings(Config(), {}) == ("ollama", "lm_studio")
    assert "openai" in with_embeddings(Config(), ENVIRON)
    assert "openai" in all_asked(Config(), ENVIRON)
    named = Config(providers={"together_ai": Provider(), "groq": Provider()})
    assert set(with_embeddings(named, {})) == {"ollama", "lm_studio", "together_ai"}
