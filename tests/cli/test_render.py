from __future__ import annotations

import json

import pytest

from neurolink_mitm.cli import render


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (3 * 3600 + 5 * 60, "3 h 5 min"),
        (86399, "23 h 59 min"),
        (86400, "1 d 0 h"),
        (9 * 86400 + 23 * 3600 + 3599, "9 d 23 h"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert render.duration(seconds) == words


def test_json_is_the_report() -> None:
    report = {"running": True, "accounts": ["work"]}
    text = render.as_json(report)
    assert json.loads(text) == report
    assert text.endswith("}\n")


def test_replay_is_side_by_side() -> None:
    report = {
        "recorded": {"requests": 3, "rateLimits": 1, "refused": 0, "served": {"a": 2, "b": 1}},
        "quota-aware": {"requests": 3, "rateLimits": 0, "refused": 3, "served": {}},
    }
    _, recorded, other = render.replay_text(report).splitlines()
    assert recorded.split() == ["recorded", "3", "1", "0", "a", "2,", "b", "1"]
    assert other.split() == ["quota-aware", "3", "0", "3", "nobody"]
