"""What stands in for the package that LiteLLM imports before it asks Claude on Vertex AI."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from neurolink_mitm.translator import vertexai


def test_a_module_stands_in_for_one_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vertexai, "NAME", "vertexai_of_nobody")
    monkeypatch.delitem(sys.modules, "vertexai_of_nobody", raising=False)
    vertexai.stand_in()
    try:
        assert hasattr(sys.modules["vertexai_of_nobody"], "preview")
    finally:
        del sys.modules["vertexai_of_nobody"]


@pytest.mark.parametrize("name", ["json", "wave"], ids=["imported", "installed"])
def test_what_is_there_stays(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before: ModuleType | None = sys.modules.get(name)
    monkeypatch.setattr(vertexai, "NAME", name)
    vertexai.stand_in()
    assert sys.modules.get(name) is before
