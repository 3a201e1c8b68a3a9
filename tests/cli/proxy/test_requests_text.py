"""The requests in flight in `neurolink proxy status`."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from neurolink_mitm.cli.proxy.requests_text import in_flight_line, in_flight_table
from tests.fakes import NOW

pytestmark = pytest.mark.usefixtures("in_kolkata")

SENT = {
    "requestId": "req_1",
    "path": "/v1/messages",
    "api": "anthropic",
    "model": "claude-opus-4-6",
    "client": None,
    "session": "3f2a9c1e-7d44-4c4c-9d9d-0123456789ab",
    "agent": None,
    "state": "sent",
    "account": "work",
    "attempt": 1,
    "since": "2025-10-09T08:53:20.000Z",
    "ageMs": 1500,
    "heldUntil": None,
    "responseBytes": 0,
}
HELD = SENT | {"state": "held", "account": None, "heldUntil": "2025-10-09T09:33:20.000Z"}
STREAMING = SENT | {"state": "streaming", "account": "🚀 Büro", "attempt": 3, "client": "ann"}


def report(*requests: dict[str, Any], **more: Any) -> dict[str, Any]:
    held = sum(each["state"] == "held" for each in requests)
    return {"requestsInFlight": len(requests), "requestsHeld": held, "requests": requests} | more


def lines(parts: Iterable[RenderableType], width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        for each in parts:
            console.print(each)
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (report(), []),
        ({}, []),
        (report(SENT), ["in flight: 1 request"]),
        (report(SENT, HELD), ["in flight: 2 requests, 1 held, the first until 15:03 IST (in 40m)"]),
    ],
    ids=["none", "older proxy", "one", "held"],
)
def test_the_line(found: dict[str, Any], line: list[str]) -> None:
    assert lines(in_flight_line(found, NOW)) == line


def test_the_table() -> None:
    titles, *rows = lines(in_flight_table(report(HELD, STREAMING, SENT), NOW, 10))
    assert titles.split() == ["request", "age", "attempt", "account", "model", "client", "session"]
    assert [" ".join(row.split()) for row in rows] == [
        "held until 15:03 IST (in 40m) 2s 1 – claude-opus-4-6 – 3f2a9c1e",
        "streaming 2s 3 🚀 Büro claude-opus-4-6 ann 3f2a9c1e",
        "sent 2s 1 work claude-opus-4-6 – 3f2a9c1e",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_row_is_a_line_on_any_terminal(width: int) -> None:
    table = lines(in_flight_table(report(HELD, STREAMING, SENT), NOW, 10), width)
    assert max(map(cell_len, table)) <= width
    states = [line.partition(" ")[0] for line in table[-3:]]
    assert states == ["held", "streaming", "sent"]
    assert "40m" in table[-3]


def test_more_than_fit() -> None:
    found = report(*[SENT] * 50, requestsInFlight=200)
    _, *rows, rest = lines(in_flight_table(found, NOW, 5))
    assert (len(rows), rest) == (4, "and 196 more")


def test_a_name_that_a_client_chose_controls_no_terminal() -> None:
    found = report(SENT | {"model": "x\x1b[2J", "session": "\x1b[2J", "client": "\n"})
    assert "\x1b" not in "".join(lines(in_flight_table(found, NOW, 5)))


def test_a_request_whose_body_has_not_come() -> None:
    [_, row] = lines(in_flight_table(report(SENT | {"model": None, "state": "waiting"}), NOW, 5))
    assert "/v1/messages" in row
