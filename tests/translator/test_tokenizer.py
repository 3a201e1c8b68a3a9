from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tiktoken import registry

from neurolink_mitm.translator.tokenizer import NAME, delay_tokenizer


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of a process that has made none. Where the real one's data are says LiteLLM."""
    spec = importlib.util.find_spec("litellm")
    assert spec
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0], "litellm_core_utils", "tokenizers")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(data))
    encodings: dict[str, Any] = {}
    monkeypatch.setattr(registry, "ENCODINGS", encodings)
    return encodings


def test_it_is_made_when_something_is_counted(encodings: dict[str, Any]) -> None:
    delay_tokenizer()
    given: Any = registry.get_encoding(NAME)
    assert given is encodings[NAME]
    assert "encode" not in vars(given), "nothing is loaded yet"
    assert len(given.encode("hello world", disallowed_special=())) == 2
    assert encodings[NAME] is not given
    assert encodings[NAME].name == NAME
    assert given.encode("hello world") == encodings[NAME].encode("hello world")


def test_one_that_is_there_stays(encodings: dict[str, Any]) -> None:
    encodings[NAME] = there = object()
    delay_tokenizer()
    assert encodings[NAME] is there
