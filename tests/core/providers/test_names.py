"""Which names are providers'."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from neurolink_mitm.core.providers.catalog import PROVIDERS
from neurolink_mitm.core.providers.names import (
    ALIASES,
    LITELLM,
    MEANT,
    NO_CHAT,
    canonical,
    own_prefix,
    unknown_provider,
)


def test_litellms_are_those_of_the_one_that_is_installed() -> None:
    """Read, not imported: that takes seconds."""
    spec = find_spec("litellm")
    assert spec
    assert spec.origin
    source = (Path(spec.origin).parent / "types" / "utils.py").read_text()
    members = source.split("class LlmProviders(str, Enum)")[1].split("\nclass ")[0]
    assert set(re.findall(r'^    [A-Z0-9_]+ = "([^"]+)"', members, re.MULTILINE)) == LITELLM


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("google-ai", "google-ai"), ("google_ai", "google-ai"), ("gemini", "google-ai"),
        ("vertex", "vertex"), ("vertex_ai", "vertex"), ("ollama_chat", "ollama"),
        ("kimi", "moonshot"), ("grok", "xai"), ("lmstudio", "lm_studio"), ("lm-studio", "lm_studio"),
        ("vllm", "hosted_vllm"), ("azure-ai", "azure_ai"), ("together", "together_ai"),
        ("together-ai", "together_ai"), ("together_ai", "together_ai"), ("nano-gpt", "nano-gpt"),
        ("nano_gpt", "nano-gpt"),
    ],
)  # fmt: skip
def test_a_provider_has_one_name(name: str, one: str) -> None:
    assert unknown_provider(name) is None
    assert canonical(name) == one
    assert canonical(one) == one


def test_every_alias_and_meaning_is_a_provider() -> None:
    names = {*ALIASES.values(), *MEANT.values()}
    assert [name for name in names if unknown_provider(name)] == []
    assert {canonical(name) for name in names} == names
    assert NO_CHAT < LITELLM


@pytest.mark.parametrize("provider", PROVIDERS)
def test_litellms_name_of_ours_is_ours(provider: str) -> None:
    assert canonical(PROVIDERS[provider].litellm) == provider


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("opnai", "openai"), ("OpenAI", "openai"), ("gogle-ai", "google-ai"), ("google", "google-ai"),
        ("open-router", "openrouter"), ("Mistral", "mistral"), ("gpt", "openai"), ("Kimi", "moonshot"),
        ("LM Studio", "lm_studio"), ("Gemini", "google-ai"), ("llama.cpp", "openai"),
        ("moonshoot", "moonshot"), ("togther", "together_ai"),
    ],
)  # fmt: skip
def test_a_misspelt_one_leads_on(name: str, meant: str) -> None:
    assert unknown_provider(name) == f'no provider is called "{name}", did you mean "{meant}"?'


def test_one_like_nothing_lists_those_there_are() -> None:
    said = unknown_provider("zzz") or ""
    assert "known are google-ai, vertex, openai" in said


@pytest.mark.parametrize("name", ["anthropic", "Claude", "anthropic_text"])
def test_anthropic_is_no_other_provider(name: str) -> None:
    assert unknown_provider(name) == (
        f'"{name}" is no other provider: its accounts are asked before all others'
    )


def test_nor_is_one_without_models_that_answer() -> None:
    assert unknown_provider("voyage") == '"voyage" has no models that answer messages'


@pytest.mark.parametrize(
    ("provider", "model", "prefix"),
    [
        ("google-ai", "gemini/gemini-2.5-flash", "gemini/"),
        ("openai", "openai/gpt-5", "openai/"),
        ("google-ai", "google-ai/gemini-2.5-flash", "google-ai/"),
        ("groq", "openai/gpt-oss-120b", None),
        ("groq", "groq/compound", None),
        ("openrouter", "openrouter/auto", None),
        ("nvidia_nim", "nvidia/nemotron", None),
        ("openai", "gpt-5", None),
    ],
)
def test_a_provider_before_its_model(provider: str, model: str, prefix: str | None) -> None:
    assert own_prefix(provider, model) == prefix
