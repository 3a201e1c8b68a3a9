"""Which names are providers'."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from neurolink_mitm.core.provider_names import LITELLM, is_provider, unknown


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
    assert unknown(name) is None


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
    assert unknown(name) == f'no provider is called "{name}", did you mean "{meant}"?'


def test_one_like_nothing_lists_those_there_are() -> None:
    said = unknown("zzz") or ""
    assert "known are google-ai, vertex, openai" in said
