"""What is wrong with the providers, models and addresses that a configuration names."""

from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.config.document import parse
from neurolink_mitm.config.provider_checks import address_advice
from neurolink_mitm.core.providers.catalog import PROVIDERS
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config


def faults(document: object, env: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(document, env or {})
    return caught.value.faults


def warnings(**routing: Any) -> tuple[str, ...]:
    return parse({"routing": routing}, {}).warnings


def read(document: object) -> Config:
    return parse(document, {}).config


def to(model: str, provider: str = "openai", asked: str = "best") -> dict[str, str]:
    return {"from": asked, "to": model, "provider": provider}


def entry(provider: str, model: str = "m") -> dict[str, str]:
    return {"provider": provider, "model": model}


def test_a_misspelt_provider_is_refused_wherever_it_stands() -> None:
    document = {
        "providers": {"opnai": {"baseUrl": "http://h"}, "groq": {}},
        "routing": {
            "model-mappings": [{"from": "a", "to": "claude-b"}, to("d", "mistrl")],
            "fallbackChain": [entry("gogle-ai"), entry("anthropic")],
        },
    }
    assert faults(document) == (
        'providers.opnai: no provider is called "opnai", did you mean "openai"?',
        'routing.model-mappings[1].provider: no provider is called "mistrl", did you mean "mistral"?',
        'routing.fallbackChain[0].provider: no provider is called "gogle-ai", did you mean "google-ai"?',
        'routing.fallbackChain[1].provider: "anthropic" is no other provider: its accounts are asked before all others',
    )


def test_one_with_embeddings_alone_is_a_provider_but_no_entry_of_the_chain() -> None:
    mapped = {"from": "embed", "to": "voyage-3", "provider": "voyage"}
    chained = {"provider": "jina_ai", "model": "jina-embeddings-v3"}
    document = {
        "providers": {"voyage": {"apiKey": "k"}},
        "routing": {"model-mappings": [mapped], "fallback-chain": [chained]},
    }
    [fault] = faults(document)
    assert "jina_ai" in fault
    assert "no models that answer messages" in fault


def test_with_all_that_is_wrong_beside_it() -> None:
    assert len(faults({"routing": {"fallback-chain": [{"provider": "gpt"}, 3], "x": 1}})) == 4


@pytest.mark.parametrize(
    "document",
    [
        {"providers": []}, {"routing": []}, {"routing": {"fallback-chain": {"a": 1}}},
        {"routing": {"model-mappings": 3}}, {"routing": {"fallback-chain": [{"provider": 3, "model": 4}]}},
    ],
)  # fmt: skip
def test_what_has_another_form_is_left_to_others(document: object) -> None:
    assert all("must be" in fault for fault in faults(document))


def test_an_empty_name_is_told_once() -> None:
    assert faults({"routing": {"fallback-chain": [entry("${X}")]}}, {"X": ""}) == (
        'routing.fallback-chain[0].provider: must not be empty, got "${X}"',
    )


def test_other_names_of_a_provider_are_read_as_its_own() -> None:
    config = read(
        {
            "providers": {"kimi": {"apiKey": "${K:-k}"}},
            "routing": {
                "fallback-chain": [entry("kimi", "k2"), entry("gemini")],
                "model-mappings": [to("qwen", "vllm"), {"from": "a", "to": "claude-b"}],
            },
        }
    )
    assert list(config.providers) == ["moonshot"]
    assert [each.provider for each in config.routing.fallback_chain] == ["moonshot", "google-ai"]
    assert [m.provider for m in config.routing.model_mappings] == ["hosted_vllm", "anthropic"]


def test_one_provider_by_two_names_is_a_fault() -> None:
    assert faults({"providers": {"kimi": {}, "moonshot": {}}}) == (
        "providers.moonshot: is the same provider as providers.kimi: leave one",
    )


@pytest.mark.parametrize(
    ("routing", "fault"),
    [
        ({"fallback-chain": [entry("google-ai", "gemini/gemini-2.5-flash")]},
         'routing.fallback-chain[0].model: is without "gemini/", as its provider is named beside it'),
        ({"modelMappings": [to("openai/gpt-5")]},
         'routing.modelMappings[0].to: is without "openai/", as its provider is named beside it'),
        ({"fallback-chain": [entry("openai", "gpt-*")]},
         'routing.fallback-chain[0].model: is one model\'s name, no pattern, got "gpt-*"'),
    ],
    ids=["chain", "mapping", "pattern"],
)  # fmt: skip
def test_a_model_is_named_as_its_provider_does(routing: dict[str, Any], fault: str) -> None:
    assert faults({"routing": routing}) == (fault,)


@pytest.mark.parametrize("key", ["baseUrl", "base-url"])
def test_a_server_of_ones_own_names_models_as_it_likes(key: str) -> None:
    chain = [entry("openai", "openai/gpt-oss-20b"), entry("groq", "groq/compound")]
    read({"providers": {"openai": {key: "http://h/v1"}}, "routing": {"fallback-chain": chain}})


@pytest.mark.parametrize(
    ("model", "add"),
    [
        ("gpt-4o", "provider: openai"), ("o3-mini", "provider: openai"),
        ("gemini-2.5-pro", "provider: google-ai"), ("kimi-k2", "provider: moonshot"),
        ("grok-4", "provider: xai"), ("MiniMax-M2", "provider: minimax"), ("other", "provider: …"),
        ("openai/gpt-4o", "provider: openai, to: gpt-4o"),
        ("kimi/k2", "provider: moonshot, to: k2"), ("unknown/x", "provider: …"),
    ],
)  # fmt: skip
def test_a_mapping_without_a_provider_to_no_claude_warns(model: str, add: str) -> None:
    [warning] = warnings(**{"model-mappings": [{"from": "best", "to": model}]})
    assert warning == (
        f'routing.model-mappings[0].to: "{model}" without a provider is asked of Anthropic: add `{add}`'
    )


MINI = to("gpt-5", asked="claude-*")


@pytest.mark.parametrize(
    ("mappings", "warned"),
    [
        ([to("a"), to("b")],
         ["routing.modelMappings[1].from: is never reached, as routing.modelMappings[0] takes all of it"]),
        ([MINI, to("b", asked="claude-3-*")],
         ["routing.modelMappings[1].from: is never reached, as routing.modelMappings[0] takes all of it"]),
        ([MINI, to("b", asked="claude-3")], []),
        ([to("b", asked="claude-3-*"), MINI], []),
        ([{"from": "claude-a", "to": "claude-a"}],
         ["routing.modelMappings[0]: changes nothing: it maps a model to itself"]),
        ([MINI, {"from": "claude-a", "to": "claude-a"}], []),
        ([{"from": "claude-a", "to": "claude-a"}, MINI], []),
        ([to("gpt-5", asked="gpt-5")], []),
    ],
    ids=["twice", "wildcard-in-wildcard", "exact-first", "narrow-first", "itself", "exception", "exception-first",
         "same-name-elsewhere"],
)  # fmt: skip
def test_a_mapping_that_does_nothing_warns(mappings: list[Any], warned: list[str]) -> None:
    assert list(warnings(modelMappings=mappings)) == warned


def test_an_entry_twice_warns_whatever_its_names() -> None:
    assert warnings(**{"fallback-chain": [entry("kimi"), entry("openai"), entry("moonshot")]}) == (
        "routing.fallback-chain[2]: is routing.fallback-chain[0] once more: it is asked only once",
    )


def test_an_entry_that_is_paid_where_nothing_may_be_warns() -> None:
    chain = [entry("openai"), entry("ollama"), entry("lmstudio")]
    assert warnings(**{"fallback-chain": chain, "pay-per-use": "never"}) == (
        "routing.fallback-chain[0]: is never asked, as routing.pay-per-use is never",
    )


def test_a_passthrough_model_that_is_mapped_warns() -> None:
    asked = {"passthrough-models": ["x", "claude-y"], "model-mappings": [MINI]}
    assert warnings(**asked) == (
        "routing.passthrough-models[1]: is never reached,"
        ' as the model mapping from "claude-*" takes it',
    )


@pytest.mark.parametrize(
    ("provider", "url", "advice"),
    [
        ("openai", "http://h:8000", 'has no path: such servers want "/v1" at its end'),
        ("lm_studio", "http://h:1234", 'has no path: such servers want "/v1" at its end'),
        ("openai", "http://h/v1/chat/completions",
         'ends with "/chat/completions", which is added to it: leave that out'),
        ("together_ai", "http://h/v1/responses",
         'ends with "/responses", which is added to it: leave that out'),
        ("ollama", "http://h:11434/v1", "is without a path for ollama: http://127.0.0.1:11434"),
        ("ollama", "http://h:11434/api/chat",
         'ends with "/api/chat", which is added to it: leave that out'),
        ("google-ai", "http://h", 'lacks "/v1beta" at its end'),
        ("azure", "https://r.openai.azure.com/openai/deployments/x",
         "is without a path for azure: https://RESOURCE.openai.azure.com"),
        ("openai", "http://h/v1", None),
        ("deepseek", "https://api.deepseek.com", None),
        ("google-ai", "http://h/v1beta", None),
        ("ollama", "http://h:11434", None),
        ("ollama", "http://h/behind/a/gateway", None),
        ("azure_ai", "https://r.services.ai.azure.com/anthropic/v1/messages", None),
        ("vertex", "http://h", None),
    ],
)  # fmt: skip
def test_the_form_of_an_address(provider: str, url: str, advice: str | None) -> None:
    assert address_advice(provider, url) == advice
    document = {"providers": {provider: {"base-url": url}}}
    told = [f"providers.{provider}.base-url: {advice}"] if advice else []
    assert list(parse(document, {}).warnings) == told


@pytest.mark.parametrize("provider", PROVIDERS)
def test_our_own_examples_are_of_that_form(provider: str) -> None:
    info = PROVIDERS[provider]
    urls = (info.example, info.default)
    assert [url for url in urls if url and address_advice(provider, url)] == []


def test_an_api_where_there_is_one_only_warns() -> None:
    assert parse({"providers": {"groq": {"api": "chat"}}}, {}).warnings == (
        "providers.groq.api: is of openai alone, and not looked at here",
    )


def test_a_key_that_nobody_takes_warns() -> None:
    [warning] = parse({"providers": {"vertex": {"apiKey": "${K}"}}}, {"K": "x"}).warnings
    assert warning.startswith(
        "providers.vertex: takes no apiKey: its credentials come from GOOGLE_"
    )
