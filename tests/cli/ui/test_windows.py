"""The windows of accounts in `auth list` and `proxy status`."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from neurolink_mitm.cli.ui.windows import windows_table
from tests.fakes import NOW

pytestmark = pytest.mark.usefixtures("in_kolkata")

AT_16_28 = "2025-10-09T10:58:20.000Z"
TUESDAY = "2025-10-14T15:53:20.000Z"
WINDOW = {"used": 0.42, "status": "allowed", "reset": AT_16_28, "runsOutAt": None, "models": ["*"]}
WEEK = WINDOW | {"used": 0.9, "reset": TUESDAY}


def account(label: str = "work", **windows: dict[str, Any]) -> dict[str, Any]:
    named = {name.removeprefix("w"): each for name, each in windows.items()}
    return {"label": label, "quota": {"windows": named}}


def lines(*accounts: dict[str, Any], width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        for each in windows_table(accounts, NOW):
            console.print(each)
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize(
    ("window", "cells"),
    [
        ({}, "work 5h ██ 42% 16:28 IST (in 2h5m)"),
        ({"reset": TUESDAY}, "work 5h ██ 42% Tue 21:23 IST (in 5d7h)"),
        ({"reset": None}, "work 5h ██ 42%"),
        (
            {"runsOutAt": "2025-10-09T09:28:20.000Z"},
            "work 5h ██ 42% 16:28 IST (in 2h5m) 14:58 IST (in 35m)",
        ),
        ({"runsOutAt": "2025-10-09T08:53:19.000Z"}, "work 5h ██ 42% 16:28 IST (in 2h5m)"),
        ({"used": 1.0}, "work 5h █████ 100% 16:28 IST (in 2h5m) used up"),
        (
            {"used": None, "status": "rejected"},
            "work 5h used up 16:28 IST (in 2h5m) used up",
        ),
        ({"used": None}, "work 5h 16:28 IST (in 2h5m)"),
        ({"used": 1e308}, "work 5h █████ 9999% 16:28 IST (in 2h5m) used up"),
        ({"models": ["claude-opus-*"]}, "work 5h (opus) ██ 42% 16:28 IST (in 2h5m)"),
        ({"models": ["x\x1b[2J"]}, "work 5h (x?[2J) ██ 42% 16:28 IST (in 2h5m)"),
    ],
    ids=[
        "today", "another day", "no reset", "forecast", "a forecast that is over", "all", "rejected", "unknown",
        "nonsense", "a family", "control characters",
    ],
)  # fmt: skip
def test_a_window(window: dict[str, Any], cells: str) -> None:
    [_, row] = lines(account(w5h=WINDOW | window))
    assert " ".join(row.split()) == cells


def test_windows_of_an_account_are_together() -> None:
    titles, *rows = lines(account(w5h=WINDOW, w7d=WEEK), account("home", w5h=WINDOW))
    assert titles.split() == ["account", "window", "used", "resets"]
    assert [row.split()[:2] for row in rows] == [["work", "5h"], ["7d", "████▌"], ["home", "5h"]]


@pytest.mark.parametrize("quota", [None, {}, {"windows": {}}], ids=["none", "older", "empty"])
def test_accounts_without_windows_have_no_table(quota: Any) -> None:
    assert lines({"label": "work", "quota": quota}) == []


MANY = [
    account(label, w5h=WINDOW, w7d=WEEK | {"runsOutAt": "2025-10-10T08:53:20.000Z"}, w7d_sonnet=WEEK | {"used": 1})
    for label in ("work", "ann.brown@example.com", "日本語 🚀")
]  # fmt: skip


@pytest.mark.parametrize("width", [40, 60, 68, 80, 120, 200])
def test_nothing_is_lost_on_any_terminal(width: int) -> None:
    """Each window says what is used, when it resets and when it is out, whole words in lines that fit."""
    text = lines(*MANY, width=width)
    assert max(map(cell_len, text)) <= width
    words = " ".join(" ".join(text).split())
    for expected in ("42%", "90%", "100%", "16:28 IST", "Tue 21:23 IST", "Fri 14:23 IST"):
        assert words.count(expected) >= 3, text
    assert width < 80 or len(text) == 10


def test_80_columns_have_time_and_countdown() -> None:
    assert all("(in " in line for line in lines(*MANY, width=80)[1:])
