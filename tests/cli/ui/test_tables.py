"""Tables in a terminal of any width."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pytest
from rich.console import Console, Group, RenderableType
from rich.text import Text

from neurolink_mitm.cli.auth import render as auth_render
from neurolink_mitm.cli.proxy import status_text as status_render
from neurolink_mitm.cli.proxy.replay import replay_table
from neurolink_mitm.cli.ui.tables import Column, FittedTable, duration, fitting, printed, widths
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.status import status
from tests.cli.proxy.test_status_text import a_report, with_account
from tests.fakes import NOW, make_account

MAIL = "gamma.ray@observatory.example.com"


def drawn(table: RenderableType, room: int) -> list[str]:
    console = Console(file=io.StringIO(), width=room, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def column(title: str, *cells: str, **how: int) -> Column:
    return Column(title, [Text(cell) for cell in cells], **how)  # type: ignore[arg-type]


def titles(columns: Sequence[Column], room: int) -> list[str]:
    return [each.title for each in fitting(columns, room)]


COLUMNS = (
    column("name", "a" * 20, min_width=8),
    column("two words", "1"),
    column("first", "12345", drop_step=1),
    column("second", "12345", drop_step=2),
)


@pytest.mark.parametrize(
    ("room", "left"),
    [
        (200, ["name", "two words", "first", "second"]),
        (34, ["name", "two words", "first", "second"]),
        (33, ["name", "two\nwords", "first", "second"]),
        (29, ["name", "two\nwords", "second"]),
        (22, ["name", "two\nwords"]),
        (1, ["name", "two\nwords"]),
    ],
)
def test_columns_give_way_in_order(room: int, left: list[str]) -> None:
    assert titles(COLUMNS, room) == left


def test_cells_are_shortened_before_the_next_column_goes() -> None:
    window = Column("5h", [Text("████ 90%")], short=[Text("90%")], shorten_step=0)
    [_, short] = fitting((column("name", "work"), window), 10)
    assert [cell.plain for cell in short.cells] == ["90%"]


def test_what_may_be_folded_takes_the_room_that_is_left() -> None:
    columns = (
        column("name", "a" * 30, min_width=8),
        column("why", "b" * 40, min_width=10),
        column("n", "1"),
    )
    assert widths(columns, 60) == [27, 28, 1]
    assert widths(columns, 200) == [30, 40, 1]
    assert widths(columns, 5) == [8, 10, 1]


def a_status() -> RenderableType:
    cooling = {
        "cooling": True,
        "coolingUntil": "2025-10-09T08:54:02Z",
        "reason": "rate limit (429)",
    }
    report = a_report(make_account(MAIL), make_account("home"))
    return status_render.status_view(with_account(report, **cooling), NOW)


def an_explanation() -> RenderableType:
    pool = Pool([make_account(MAIL, enabled=False), make_account("home")])
    explained = status.explain(pool, Requirements(claude_code=True), NOW)
    return status_render.explain_view({"explain": explained}, NOW)


def a_list() -> RenderableType:
    row = {
        "label": MAIL, "email": MAIL, "organization": "Ray's Individual Org", "organizationUuid": None,
        "type": "oauth", "plan": "subscription", "source": "store", "expiresAt": "2025-10-09T17:03:20Z",
        "quota": None, "state": "needs login",
        "reason": "its token has expired and can't be refreshed", "primary": True,
    }  # fmt: skip
    other = {
        **row,
        "label": "home",
        "email": None,
        "state": "ready",
        "reason": None,
        "primary": False,
    }
    return FittedTable(auth_render.columns([row, other], NOW))


UNPAID = {"failovers": 2, "paidUsd": 0.0, "listUsd": 1.5, "movedCacheTokens": 40}


def a_replay() -> RenderableType:
    served = {f"account-{n}@example.com": n for n in range(5)}
    outcome = {"requests": 12345, "rateLimits": 123, "refused": 12, "served": served} | UNPAID
    return replay_table({"recorded": outcome, "quota-aware": outcome})


TABLES = [
    (a_status, ["cooling for 42 s: rate limit (429)", "ready", MAIL]),
    (an_explanation, [MAIL, "not enabled", "next"]),
    (a_list, ["needs login: its token has expired and can't be refreshed (primary)", MAIL]),
    (a_replay, ["12345", "123", "quota-aware"]),
]
named = pytest.mark.parametrize(
    ("table", "whole"), TABLES, ids=lambda each: getattr(each, "__name__", "")
)


@pytest.mark.parametrize("room", [60, 80, 100, 200])
@named
def test_a_table_fits(table: Callable[[], RenderableType], whole: list[str], room: int) -> None:
    lines = drawn(table(), room)
    assert max(map(len, lines)) <= room
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("room", [60, 80, 100])
@named
def test_nothing_that_matters_is_left_out(
    table: Callable[[], RenderableType], whole: list[str], room: int
) -> None:
    made = table()
    parts = made.renderables if isinstance(made, Group) else [made]
    [fits] = [each for each in parts if isinstance(each, FittedTable)]
    cells = [cell.plain for each in fitting(fits.columns, room) for cell in each.cells]
    assert [each for each in whole if not any(each in cell for cell in cells)] == []


@named
def test_a_line_an_account_where_there_is_room(
    table: Callable[[], RenderableType], whole: list[str]
) -> None:
    assert [each for each in whole if not any(each in line for line in drawn(table(), 250))] == []


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
    assert duration(seconds) == words


def test_replay_is_side_by_side() -> None:
    served = {"requests": 3, "rateLimits": 1, "refused": 0, "served": {"a": 2, "b": 1}}
    refused = {"requests": 3, "rateLimits": 0, "refused": 3, "served": {}}
    report = {"recorded": served | UNPAID, "quota-aware": refused | UNPAID}
    _, recorded, other = printed(replay_table(report)).splitlines()
    assert recorded.split() == [
        "recorded",
        "3",
        "1",
        "2",
        "0",
        "$0.00",
        "$1.50",
        "40",
        "a",
        "2,",
        "b",
        "1",
    ]
    assert other.split() == ["quota-aware", "3", "0", "2", "3", "$0.00", "$1.50", "40", "nobody"]
