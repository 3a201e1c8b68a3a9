"""The published schemas of the logs are those of the code, and would find a wrong row."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.records.schemas import FAMILIES
from tests.schemas import faults, validator

ROOT = Path(__file__).parents[1]
ROW: dict[str, Any] = {
    "timestamp": "2025-10-09T08:53:20.000Z", "requestId": "req_1", "attempt": None,
    "phase": "client_request", "account": None, "method": "POST", "url": "/v1/messages",
    "status": None, "durationMs": None, "headers": [["a", "b"]], "bodyPath": None, "bodyBytes": 0,
}  # fmt: skip


def test_they_are_fresh() -> None:
    fresh = runpy.run_path(str(ROOT / "tools" / "log-schemas"))["texts"]()
    stale = [path.name for path, text in fresh.items() if path.read_text() != text]
    assert stale == [], "run: .venv/bin/python tools/log-schemas"


@pytest.mark.parametrize("family", FAMILIES)
def test_they_are_schemas(family: str) -> None:
    validator(family)


def test_a_good_row() -> None:
    assert faults("proxy-debug", ROW) == []


@pytest.mark.parametrize(
    "change",
    [{"attempt": "1"}, {"headers": ["a"]}, {"requestId": None}, {"unheard": 1}],
    ids=lambda change: next(iter(change)),
)
def test_a_bad_row(change: dict[str, Any]) -> None:
    [fault] = faults("proxy-debug", ROW | change)
    assert next(iter(change)) in fault


def test_a_row_that_lacks_something() -> None:
    assert faults("proxy-debug", {k: v for k, v in ROW.items() if k != "phase"}) != []
