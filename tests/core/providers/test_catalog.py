"""Which names are providers'."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from neurolink_mitm.core.providers.catalog import (
    LITELLM,
    NO_KEY,
    PROVIDERS,
    environment_for,
    is_provider,
    key_of,
    litellm_name,
    missing_key,
    unknown_provider,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Provider


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("google-ai", "gemini/m"),
        ("vertex", "vertex_ai/m"),
        ("ollama", "ollama_chat/m"),
        ("together-ai", "together_ai/m"),
        ("fireworks_ai", "fireworks_ai/m"),
    ],
)
def test_names_are_litellms(provider: str, name: str) -> None:
    assert litellm_name(provider, "m") == name


def test_the_configuration_comes_before_the_environment() -> None:
    settings = {"openai": Provider(api_key=Secret("theirs"))}
    assert key_of("openai", settings, {"OPENAI_API_KEY": "k"}) == Secret("theirs")


def test_the_first_variable_that_is_set_counts() -> None:
    environ = {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": "second"}
    assert key_of("google-ai", {}, environ) == Secret("second")


def test_a_server_of_ones_own_may_need_none() -> None:
    settings = {"openai": Provider(base_url="http://127.0.0.1:1")}
    assert key_of("openai", settings, {}) == NO_KEY


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_what_is_missing_is_named(provider: str) -> None:
    facts = PROVIDERS[provider]
    reason = missing_key(provider, {}, {})
    names = (*facts.keys, *facts.ambient)
    assert (reason is None) == (not names)
    assert all(name in (reason or "") for name in names)


@pytest.mark.parametrize(
    ("provider", "name"), [(p, n) for p, f in PROVIDERS.items() for n in (*f.keys, *f.ambient)]
)
def test_any_of_its_variables_will_do(provider: str, name: str) -> None:
    assert missing_key(provider, {}, {name: "x"}) is None
    assert environment_for(frozenset({provider}), {name: "x"}) == {name: "x"}


def test_litellm_knows_by_itself_what_others_need() -> None:
    assert missing_key("together_ai", {}, {}) is None


def test_only_what_is_needed_is_handed_on() -> None:
    environ = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "https_proxy": "http://p",
        "OPENAI_API_KEY": "k",
        "MISTRAL_API_KEY": "not asked",
        "ANTHROPIC_API_KEY": "sk-ant-test-1",
        "KEY_1": "sk-ant-test-2",
        "OPENAI_HEADERS": "x: sk-ant-test-3",
    }
    assert environment_for(frozenset({"openai"}), environ) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "OPENAI_API_KEY": "k",
    }


def test_litellms_are_those_of_the_one_that_is_installed() -> None:
    """Read, not imported: that takes seconds."""
    spec = find_spec("litellm")
    assert spec
    assert spec.origin
    source = (Path(spec.origin).parent / "types" / "utils.py").read_text()
    members = source.split("class LlmProviders(str, Enum)")[1].split("\nclass ")[0]
    assert set(re.findall(r'^    [A-Z0-9_]+ = "([^"]+)"', members, re.MULTILINE)) == LITELLM


@pytest.mark.parametrize(
    "name", ["google-ai", "vertex", "openai", "together_ai", "together-ai", "nano-gpt"]
)
def test_known(name: str) -> None:
    assert is_provider(name)
    assert unknown_provider(name) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("opnai", "openai"),
        ("OpenAI", "openai"),
        ("gogle-ai", "google-ai"),
        ("google", "google-ai"),
        ("open-router", "openrouter"),
        ("Mistral", "mistral"),
        ("together", "together-ai"),
    ],
)
def test_a_misspelt_one_leads_on(name: str, meant: str) -> None:
    assert unknown_provider(name) == f'no provider is called "{name}", did you mean "{meant}"?'


def test_one_like_nothing_lists_those_there_are() -> None:
    said = unknown_provider("zzz") or ""
    assert "known are google-ai, vertex, openai" in said
