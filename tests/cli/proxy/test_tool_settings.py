from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import replace

import pytest
import yaml

from neurolink_mitm.adapters.cost import shipped_prices
from neurolink_mitm.cli.proxy import tool_settings
from neurolink_mitm.cli.proxy.tool_settings import NO_KEY, Settings
from neurolink_mitm.core.redact.text import redact

URL = "http://[::1]:8080/v1"
OPEN = Settings(URL, NO_KEY, "", "claude-sonnet-5", "claude-haiku-4-5", "text-embedding-3-small")
GUARDED = replace(OPEN, key="<client key>", note="what this shows: neurolink clients add x")


def test_the_key_that_opens_nothing_is_one_that_redaction_knows() -> None:
    assert NO_KEY not in redact(f"key {NO_KEY}")


def test_codex_reads_its_lines_as_toml() -> None:
    document = tomllib.loads(tool_settings.codex(OPEN, "bash"))
    assert document.pop("model_providers") == {
        "neurolink": {
            "name": "NeuroLink",
            "base_url": URL,
            "env_key": "OPENAI_API_KEY",
            "wire_api": "responses",
        }
    }
    assert document == {
        "model": "claude-sonnet-5",
        "model_provider": "neurolink",
        "model_context_window": 200_000,
        "web_search": "disabled",
    }


@pytest.mark.parametrize(
    ("shell", "line"),
    [("zsh", f"export OPENAI_API_KEY={NO_KEY}"), ("fish", f"set -gx OPENAI_API_KEY {NO_KEY};")],
)
def test_codex_is_told_the_key_in_the_language_of_the_shell(shell: str, line: str) -> None:
    assert f"# In the shell: {line}\n" in tool_settings.codex(OPEN, shell)


def test_aider_reads_its_file_as_yaml() -> None:
    assert yaml.safe_load(tool_settings.aider(OPEN, "/home/a b/models.json")) == {
        "openai-api-base": URL,
        "openai-api-key": NO_KEY,
        "model": "openai/claude-sonnet-5",
        "weak-model": "openai/claude-haiku-4-5",
        "edit-format": "diff",
        "model-metadata-file": "/home/a b/models.json",
    }


def test_aider_is_told_what_a_model_takes_and_costs() -> None:
    prices = {
        "claude-sonnet-5": shipped_prices().of("anthropic", "claude-sonnet-4-5"),
        "gpt-5": None,
    }
    models = json.loads(tool_settings.aider_models(prices))
    sonnet = models["openai/claude-sonnet-5"]
    assert (sonnet["max_input_tokens"], sonnet["input_cost_per_token"]) == (200_000, 3e-6)
    assert "input_cost_per_token" not in models["openai/gpt-5"]


def test_continue_reads_its_file_as_yaml() -> None:
    document = yaml.safe_load(tool_settings.continue_(OPEN))
    models = document.pop("models")
    assert document == {"name": "NeuroLink", "version": "0.0.1", "schema": "v1"}
    assert {(m["provider"], m["apiBase"], m["apiKey"]) for m in models} == {("openai", URL, NO_KEY)}
    assert [(m["model"], m["roles"]) for m in models] == [
        ("claude-sonnet-5", ["chat", "edit", "apply"]),
        ("claude-haiku-4-5", ["summarize"]),
        ("text-embedding-3-small", ["embed"]),
    ]
    assert models[0]["capabilities"] == ["tool_use", "image_input"]


def test_without_embeddings_continue_gets_no_model_for_them() -> None:
    assert "embed" not in tool_settings.continue_(replace(OPEN, embeddings=None))


def test_where_a_key_is_needed_the_file_says_which() -> None:
    for text in (
        tool_settings.codex(GUARDED, "bash"),
        tool_settings.aider(GUARDED, "m"),
        tool_settings.continue_(GUARDED),
    ):
        assert "# <client key> has to be what this shows: neurolink clients add x" in text
        assert NO_KEY not in text
    assert "OPENAI_API_KEY" not in tool_settings.openai(GUARDED)


@pytest.mark.parametrize("name", ["a: b # c", 'q"uote\\', "ünï", "new\nline"])
def test_any_name_of_a_model_is_read_back(name: str) -> None:
    odd = replace(OPEN, model=name)
    assert tomllib.loads(tool_settings.codex(odd, "bash"))["model"] == name
    assert yaml.safe_load(tool_settings.aider(odd, ""))["model"] == f"openai/{name}"
    assert yaml.safe_load(tool_settings.continue_(odd))["models"][0]["name"] == name


def test_cursor_gets_no_address_of_this_machine() -> None:
    text = tool_settings.cursor(OPEN, 8080)
    assert "public HTTPS address" in text
    assert "neurolink clients add cursor" in text
    assert "127.0.0.1" not in text
    assert URL not in text


def test_values_are_quoted_for_the_shell() -> None:
    line = tool_settings.export("bash", {"A": "b c"})
    assert shlex.split(line) == ["export", "A=b c"]
