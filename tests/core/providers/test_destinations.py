from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.providers.destinations import (
    ANY_GEMINI,
    Route,
    entries,
    known_models,
    route,
    wanted,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, Fallback, ModelMapping, Provider, Routing

CHAIN = (Fallback("google-ai", "gemini-2.5-flash"), Fallback("openai", "gpt-x"))
CHAINED = ("google-ai/gemini-2.5-flash", "openai/gpt-x")
ROUTING = Routing(
    model_mappings=(
        ModelMapping("claude-3-haiku-*", "gpt-4o-mini", "openai"),
        ModelMapping("claude-3-haiku-20240307", "claude-haiku-4-5"),
        ModelMapping("best", "gpt-x", "openai"),
    ),
    fallback_chain=CHAIN,
    passthrough_models=("claude-opus-4-20250514", "internal-*"),
)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-3-haiku-20240307",
         Route("model-mappings: claude-3-haiku-20240307", "claude-haiku-4-5", True, CHAINED)),
        ("claude-3-haiku-20990101",
         Route("model-mappings: claude-3-haiku-*", "claude-3-haiku-20990101", False,
               ("openai/gpt-4o-mini", *CHAINED))),
        ("best", Route("model-mappings: best", "best", False,
                       ("openai/gpt-x", "google-ai/gemini-2.5-flash"))),
        ("gemini-9",
         Route("gemini-* is Vertex AI's", "gemini-9", False, ("vertex/gemini-*", *CHAINED))),
        ("claude-opus-4-20250514", Route("passthrough-models", "claude-opus-4-20250514")),
        ("internal-7", Route("passthrough-models", "internal-7")),
        ("claude-x", Route("claude-*", "claude-x", True, CHAINED)),
        ("gpt-x", Route("fallback-chain: openai/gpt-x", "gpt-x", False,
                        ("openai/gpt-x", "google-ai/gemini-2.5-flash"))),
        ("openai/gpt-x", Route("fallback-chain: openai/gpt-x", "openai/gpt-x", False,
                               ("openai/gpt-x", "google-ai/gemini-2.5-flash"))),
        ("azure/gpt-x", None),
        ("gpt-9", None),
        ("", None),
        ("Claude-x", None),
    ],
    ids=["exact before wildcards", "wildcard", "an entry once", "gemini", "passthrough",
         "passthrough wildcard", "claude", "chain", "chain with provider", "another provider", "unknown", "empty",
         "capital"],
)  # fmt: skip
def test_the_route_of_a_model(model: str, expected: Route | None) -> None:
    assert route(model, ROUTING) == expected


NO_VERTEX = (
    "no key: set GOOGLE_APPLICATION_CREDENTIALS or VERTEXAI_CREDENTIALS or VERTEXAI_PROJECT or GOOGLE_CLOUD_PROJECT"
    " in the environment or .env"
)


@pytest.mark.parametrize(
    ("environ", "unfit", "rule", "first"),
    [
        ({"VERTEXAI_PROJECT": "p", "GEMINI_API_KEY": "k"}, {},
         "gemini-* is Vertex AI's", ["vertex/gemini-*"]),
        ({"VERTEXAI_PROJECT": "p"}, {}, "gemini-* is Vertex AI's", ["vertex/gemini-*"]),
        ({"GEMINI_API_KEY": "k"}, {},
         f"gemini-* is google-ai's, as Vertex AI can't be asked ({NO_VERTEX})", ["google-ai/gemini-*"]),
        ({"VERTEXAI_PROJECT": "p", "GEMINI_API_KEY": "k"}, {"vertex": "lacks a package"},
         "gemini-* is google-ai's, as Vertex AI can't be asked (lacks a package)", ["google-ai/gemini-*"]),
        ({}, {}, "gemini-* is Vertex AI's or google-ai's", [*ANY_GEMINI]),
    ],
    ids=["both", "vertex", "google-ai", "vertex-unfit", "neither"],
)  # fmt: skip
def test_gemini_is_google_ais_only_where_vertex_cant_be_asked(
    environ: dict[str, str], unfit: dict[str, str], rule: str, first: list[str]
) -> None:
    config = Config(routing=Routing(fallback_chain=CHAIN))
    taken = route("gemini-9", config.routing, entries(config, environ, unfit))
    assert taken == Route(rule, "gemini-9", False, (*first, *CHAINED))


def test_without_any_configuration_only_claude_is_served() -> None:
    assert route("claude-x", Routing()) == Route("claude-*", "claude-x")
    assert route("gpt-9", Routing()) is None


def test_names_that_can_be_asked_for() -> None:
    assert known_models(["claude-a"], ROUTING) == (
        "claude-a",
        "claude-3-haiku-20240307",
        "best",
        "claude-opus-4-20250514",
        "gemini-2.5-flash",
        "gpt-x",
    )


def made(environ: dict[str, str] | None = None, **config: Any) -> dict[str, str | None]:
    """The entries' keys, and why each can't be asked."""
    found = entries(Config(routing=ROUTING, **config), environ or {})
    return {entry.key: entry.disabled for entry in found}


def test_an_entry_for_each_model_of_another_provider() -> None:
    own_servers = ["ollama/*", "lm_studio/*"]  # for embeddings
    assert list(made()) == [*CHAINED, "openai/gpt-4o-mini", *ANY_GEMINI, *own_servers]


def test_one_without_a_key_says_what_to_set() -> None:
    reason = made()["openai/gpt-x"]
    assert reason == (
        "no key: set OPENAI_API_KEY in the environment or .env, or providers.openai.apiKey"
    )


@pytest.mark.parametrize(
    ("environ", "config"),
    [
        ({"OPENAI_API_KEY": "k"}, {}),
        ({}, {"providers": {"openai": Provider(api_key=Secret("k"))}}),
        ({}, {"providers": {"openai": Provider(base_url="http://127.0.0.1:1/v1")}}),
    ],
    ids=["environment", "configuration", "a server of one's own"],
)
def test_one_with_a_key_can_be_asked(environ: dict[str, str], config: dict[str, Any]) -> None:
    assert made(environ, **config)["openai/gpt-x"] is None


def test_no_entry_shows_its_key() -> None:
    shown = repr(entries(Config(routing=ROUTING), {"OPENAI_API_KEY": "sk-test-123"}))
    assert "sk-test-123" not in shown


def test_the_providers_that_are_named() -> None:
    assert wanted(Config(routing=ROUTING)) == {"google-ai", "openai"}
    assert wanted(Config(providers={"groq": Provider()})) == {"groq"}
    assert wanted(Config()) == set()


def test_an_entry_of_a_misspelt_provider_says_so() -> None:
    """In `status` and the doctor, rather than after the first request that it fails."""
    config = Config(routing=Routing(fallback_chain=(Fallback("opnai", "m"),)))
    [entry, *_] = entries(config, {})
    assert entry.disabled == 'no provider is called "opnai", did you mean "openai"?'
