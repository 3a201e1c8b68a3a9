from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.catalog import provider_info
from neurolink_mitm.core.providers.embedding_batches import BATCHES, Batch, batch_of, batches


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=30))
def test_batches_are_all_inputs_in_order_within_bounds(texts: list[str]) -> None:
    at_most = Batch(inputs=4, tokens=15)
    lists = list(batches(texts, at_most))
    assert [each for batch in lists for each in batch] == texts
    for batch in lists:
        assert 1 <= len(batch) <= 4
        tokens = sum(len(str(each).encode("utf-8", "replace")) // 3 for each in batch)
        assert tokens <= 15 or len(batch) == 1


def test_token_ids_count_by_their_number() -> None:
    assert list(batches([[1] * 10, [2] * 10, [3]], Batch(tokens=12))) == [
        [[1] * 10],
        [[2] * 10, [3]],
    ]


@pytest.mark.parametrize(
    ("provider", "model", "inputs"),
    [("google-ai", "gemini-embedding-001", 100), ("vertex", "text-embedding-005", 250),
     ("vertex", "gemini-embedding-001", 1), ("another", "m", 256)],
)  # fmt: skip
def test_what_a_provider_takes_at_once(provider: str, model: str, inputs: int) -> None:
    assert batch_of(provider, model).inputs == inputs


def test_litellm_asks_each_of_them() -> None:
    spec = find_spec("litellm")
    assert spec
    assert spec.origin
    source = (Path(spec.origin).parent / "main.py").read_text()
    function = source[source.rindex("\ndef embedding(") :]
    asked = function[: function.index("\nasync def ")]
    names = set(re.findall(r'custom_llm_provider == "(\w+)"', asked))
    for listed in re.findall(r"custom_llm_provider in \(([^)]*)\)", asked):
        names |= set(re.findall(r'"(\w+)"', listed))
    ours = {"ollama": "ollama"}  # its messages have a name of their own
    assert {ours.get(each) or provider_info(each).litellm for each in BATCHES} <= names
