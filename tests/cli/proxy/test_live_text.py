"""What `proxy status --watch` shows on terminals of several sizes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from neurolink_mitm.cli.proxy.live_text import LiveStatus
from neurolink_mitm.core.status import status
from tests.cli.proxy.test_requests_text import HELD, STREAMING
from tests.fakes import NOW, make_account, make_runtime

pytestmark = pytest.mark.usefixtures("in_kolkata")

SOON, LATER = "2025-10-09T10:58:20.000Z", "2025-10-14T15:53:20.000Z"


def window(**changes: Any) -> dict[str, Any]:
    return {"used": 0.4, "status": "", "reset": SOON, "runsOutAt": None, "models": ["*"]} | changes


WINDOWS = {"5h": window(), "7d": window(used=0.9, reset=LATER), "7d_opus": window(used=1.0)}


def report(accounts: int, requests: int) -> dict[str, Any]:
    runtime = make_runtime(*(make_account(f"someone.{n}@example.com") for n in range(accounts)))
    found = {**status.report(runtime, NOW), "url": "http://127.0.0.1:55669"}
    for each in found["stats"]["accounts"]:  # type: ignore[index]
        each["quota"] = {"windows": WINDOWS}
    found["requests"] = [HELD, *[STREAMING] * (requests - 1)]
    return found | {"requestsInFlight": requests, "requestsHeld": 1}


def screen(found: dict[str, Any], width: int, height: int) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, markup=False, emoji=False, highlight=False
    )
    with console.capture() as captured:
        console.print(LiveStatus(found, NOW))
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("accounts", [1, 3, 30])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 18), (100, 30), (200, 60)])
def test_all_sizes_show_accounts_and_requests(accounts: int, width: int, height: int) -> None:
    lines = screen(report(accounts, 50), width, height)
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    assert lines[0].startswith("NeuroLink ")
    assert any(line.startswith("someone.0@") for line in lines)
    assert "in flight: 50 requests, 1 held, the first until 15:03 IST (in 40m)" in lines
    assert any(line.startswith("held until 15:03 IST (in 40m)") for line in lines)
    assert lines[-1].startswith("and ")


def test_with_room_all_windows_are_shown() -> None:
    lines = screen(report(2, 1), 80, 24)
    assert sum("7d_opus" in line for line in lines) == 2


def test_without_room_the_tightest_window_is_beside_its_account() -> None:
    lines = screen(report(10, 1), 80, 24)
    row = next(line for line in lines if line.startswith("someone.3@"))
    assert row.split()[1:3] == ["ready", "7d_opus"]
    assert row.endswith("used up")


def test_the_accounts_that_are_left_out_are_counted() -> None:
    found = report(30, 1)
    found["stats"]["accounts"][28] |= {"cooling": True, "coolingUntil": SOON}
    found["stats"]["accounts"][29] |= {"reason": "needs login: its token has expired"}
    [rest] = [line for line in screen(found, 80, 24) if line.startswith("and ")]
    shown = 30 - int(rest.split()[1])
    assert rest.endswith(f" more: {28 - shown} ready, 1 cooling, 1 needs login")


def test_too_small_a_terminal_is_no_error() -> None:
    assert screen(report(3, 3), 20, 5)


def test_an_explanation_is_watched_as_it_is() -> None:
    assert screen({"explain": [], "route": {}}, 80, 24) == ["no accounts"]
