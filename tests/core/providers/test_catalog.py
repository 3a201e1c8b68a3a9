"""Where keys and endpoints of providers come from."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.providers.catalog import (
    NO_KEY,
    PROVIDERS,
    access_mark,
    base_url_of,
    environment_for,
    key_of,
    litellm_name,
    missing_access,
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


ADDRESS = {
    "azure": "AZURE_API_BASE",
    "azure_ai": "AZURE_AI_API_BASE",
    "hosted_vllm": "HOSTED_VLLM_API_BASE",
}


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_what_is_missing_is_named(provider: str) -> None:
    facts = PROVIDERS[provider]
    reason = missing_access(provider, {}, {})
    names = (*(() if facts.free else (*facts.keys, *facts.ambient)), *facts.addresses)
    assert (reason is None) == (not names)
    assert all(name in (reason or "") for name in names)


@pytest.mark.parametrize(
    ("provider", "name"), [(p, n) for p, f in PROVIDERS.items() for n in (*f.keys, *f.ambient)]
)
def test_any_of_its_variables_will_do(provider: str, name: str) -> None:
    environ = {name: "x"} | ({ADDRESS[provider]: "https://h"} if provider in ADDRESS else {})
    assert missing_access(provider, {}, environ) is None
    assert environment_for(frozenset({provider}), environ) == environ


@pytest.mark.parametrize("provider", ADDRESS)
def test_one_without_a_known_address_needs_it(provider: str) -> None:
    info = PROVIDERS[provider]
    said = missing_access(provider, {}, dict.fromkeys(info.keys, "k"))
    assert said == (
        f"no address: set providers.{provider}.baseUrl ({info.example}) or {ADDRESS[provider]}"
    )
    settings = {provider: Provider("https://h", Secret("k"))}
    assert missing_access(provider, settings, {}) is None


def test_azures_address_is_no_server_of_ones_own() -> None:
    assert "no key: set AZURE_API_KEY" in (
        missing_access("azure", {"azure": Provider("https://h")}, {}) or ""
    )


def test_vertex_takes_no_key() -> None:
    settings = {"vertex": Provider(api_key=Secret("k"))}
    assert key_of("vertex", settings, {}) is None
    said = missing_access("vertex", settings, {}) or ""
    assert said.startswith("no key: set GOOGLE_APPLICATION_CREDENTIALS or")
    assert said.endswith(" in the environment or .env")


def test_lm_studio_listens_where_it_always_does() -> None:
    assert base_url_of("lm_studio", {}) == "http://127.0.0.1:1234/v1"
    assert base_url_of("lm_studio", {"lm_studio": Provider("http://h/v1")}) == "http://h/v1"
    assert base_url_of("openai", {}) is None, "LiteLLM knows"


def test_litellm_knows_by_itself_what_others_need() -> None:
    assert missing_access("together_ai", {}, {}) is None


@pytest.mark.parametrize(
    ("settings", "environ"),
    [
        (Provider("http://h", Secret("k")), {}),
        (Provider("http://h"), {"OPENAI_API_KEY": "k2"}),
        (Provider("http://other"), {"OPENAI_API_KEY": "k"}),
        (Provider("http://h", api="chat"), {"OPENAI_API_KEY": "k"}),
    ],
    ids=["key in the file", "key", "address", "api"],
)
def test_another_access_has_another_mark(settings: Provider, environ: dict[str, str]) -> None:
    before = access_mark("openai", {"openai": Provider("http://h")}, {"OPENAI_API_KEY": "k"})
    same = access_mark(
        "openai", {"openai": Provider("http://h")}, {"OPENAI_API_KEY": "k", "X": "y"}
    )
    assert before == same
    if settings.api_key is None:
        assert access_mark("openai", {"openai": settings}, environ) != before
    else:
        assert access_mark("openai", {"openai": settings}, environ) == before, "the same key"


def test_credentials_that_litellm_finds_count_as_well() -> None:
    marks = {access_mark("bedrock", {}, {"AWS_PROFILE": name}) for name in ("a", "b")}
    assert len(marks) == 2


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
