from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.records import log_files, request_search
from neurolink_mitm.records.request_search import Place, Query, Results, find
from neurolink_mitm.records.row_reader import RequestFilter, TimeRange

Search = Callable[..., str]


def write(logs: Path, family: str, day: int, *rows: dict[str, Any]) -> None:
    with (logs / f"{family}-2026-11-{day}.jsonl").open("ab") as file:
        for hour, row in enumerate(rows):
            stamped = {"timestamp": f"2026-11-{day}T{hour:02}:00:00.000Z", **row}
            file.write(msgspec.json.encode(stamped) + b"\n")


def body(logs: Path, name: str, value: object) -> str:
    path = logs / "bodies" / name
    path.parent.mkdir(exist_ok=True)
    fields = {"encoding": "json", "bytes": 9, "truncated": False, "contentType": None}
    path.write_bytes(gzip.compress(msgspec.json.encode({**fields, "body": value})))
    return f"bodies/{name}"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Requests a, b on one day, c, d on the next; an attempt of a failed after midnight; d's error was captured."""
    ok = {"outcome": "complete", "responseStatus": 200}
    write(
        tmp_path, "proxy", 21,
        {"requestId": "req_b", **ok, "account": "müller", "model": "claude-opus-4-6", "costUsd": 0.25},
        {"requestId": "req_a", **ok, "account": "work", "attempts": 2, "why": "home; skipped: Work (cooling)"},
    )  # fmt: skip
    write(
        tmp_path, "proxy", 22,
        {"requestId": "req_c", **ok, "sessionId": "5e55", "actualModel": "gemini-3", "client": 'a "laptop"'},
        {"requestId": "req_d", "outcome": "error", "responseStatus": 529, "agentId": "x1"},
    )  # fmt: skip
    attempt = {"attempt": 1, "errorType": "rate_limit_error", "upstreamRequestId": "req_011Up"}
    write(tmp_path, "proxy-attempts", 22, {"requestId": "req_a", **attempt})
    said = {"phase": "upstream_response", "status": 529, "bodyBytes": 9}
    path = body(tmp_path, "d.json.gz", {"error": {"message": "The Fleet is overloaded"}})
    write(tmp_path, "proxy-debug", 22, {"requestId": "req_d", **said, "bodyPath": path})
    return tmp_path


@pytest.fixture
def ids(logs: Path) -> Search:
    def search(text: str = "", times: TimeRange | None = None, **wanted: str) -> str:
        query = Query(RequestFilter(**wanted), times or TimeRange(), text)
        return "".join(row.requestId[4:] for row in find(logs, query).rows)

    return search


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "dcab"),
        ({"request": "req_c"}, "c"),
        ({"account": "müller"}, "b"),
        ({"model": "opus"}, "b"),
        ({"model": "gemini"}, "c"),
        ({"session": "5e"}, "c"),
        ({"client": 'a "laptop"'}, "c"),
        ({"agent": "x"}, "d"),
        ({"status": "529"}, "d"),
        ({"status": "5xx"}, "d"),
        ({"status": "complete"}, "cab"),
        ({"text": "COOLING"}, "a"),
        ({"text": "rate_limit"}, "a"),
        ({"text": "req_011up"}, "a"),
        ({"text": "fleet is"}, "d"),
        ({"text": "0.25"}, "b"),
        ({"text": "Müller"}, "b"),
        ({"text": '"laptop"'}, "c"),
        ({"text": "requestId"}, ""),
        ({"text": r"\w+(.*)["}, ""),
        ({"text": "x" * 100_000}, ""),
        ({"text": "\ud800"}, ""),
        ({"text": "cooling", "account": "home"}, ""),
        ({"times": TimeRange("2026-11-21T01", "2026-11-22T01")}, "ca"),
        ({"times": TimeRange("2026-11-23")}, ""),
    ],
    ids=str,
)
def test_requests_are_found(ids: Search, wanted: dict[str, Any], expected: str) -> None:
    assert ids(**wanted) == expected


def test_rows_of_other_writers_are_found(logs: Path, ids: Search) -> None:
    """Python's `json` writes spaces, and escapes letters."""
    with (logs / "proxy-2026-11-23.jsonl").open("wb") as file:
        file.write(
            b'{"timestamp": "2026-11-23", "requestId": "req_e", "responseStatus": 500, "account": "\\u00fc"}'
        )
    assert ids(status="5xx") == "ed"
    assert ids(account="ü") == "e"
    assert ids("Ü") == "eb"


def test_lines_that_are_no_rows_are_left_out(logs: Path, ids: Search) -> None:
    huge = b'{"requestId":"%s"}' % (b"x" * 5_000_000)
    foreign = (b"[]", b"\xff", b"", b'{"timestamp":1,"requestId":"req_x"}', b"[" * 100_000, huge)
    row = b'{"timestamp":"2026-11-23","requestId":"req_e"}'
    lines = b"\n".join((*foreign, row, *foreign, b'{"timestamp":"2026'))
    (logs / "proxy-2026-11-23.jsonl").write_bytes(lines)
    (logs / "proxy-2026-11-25.jsonl").mkdir()
    assert ids() == "edcab"


def pages(logs: Path, count: int) -> list[str]:
    at: Place | None = None
    ids = []
    while True:
        page = find(logs, Query(), at, count=count)
        ids += [row.requestId for row in page.rows]
        if page.next is None:
            return ids
        at = Place.parse(str(page.next))


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_pages_follow_one_another(logs: Path, count: int) -> None:
    assert "".join(pages(logs, count)) == "req_dreq_creq_areq_b"


def test_a_page_stays_in_its_place_as_rows_are_added(logs: Path) -> None:
    first = find(logs, Query(), count=3)
    write(logs, "proxy", 22, {"requestId": "req_new"})
    assert [row.requestId for row in find(logs, Query(), first.next).rows] == ["req_b"]


@pytest.mark.parametrize(
    "text", ["", "x", "2026-11-22", "2026-13-01.1", "2026-11-22.-1", "2026-11-22.٣", f"2026-11-22.{10**99}"],
)  # fmt: skip
def test_a_place_that_nobody_wrote(text: str) -> None:
    assert Place.parse(text) is None


def test_a_page_after_the_first_has_requests_whose_attempts_are_of_the_next_day(
    logs: Path,
) -> None:
    query = Query(text="rate_limit")
    assert [row.requestId for row in find(logs, query, Place(date(2026, 11, 21))).rows] == ["req_a"]


def test_a_place_beyond_the_files(logs: Path) -> None:
    assert len(find(logs, Query(), Place(date(2027, 1, 1), 5)).rows) == 4
    assert len(find(logs, Query(), Place(date(2026, 11, 22), 10**12)).rows) == 4
    assert not find(logs, Query(), Place(date(2026, 11, 1))).rows


def search_on(logs: Path, query: Query) -> tuple[int, list[str]]:
    """Search by pieces, as if each block took all the time there is."""
    at, pieces, found = None, 0, []
    while True:
        page: Results = find(logs, query, at, budget=0, clock=lambda: 0)
        pieces += 1
        found += [row.requestId for row in page.rows]
        if page.next is None:
            return pieces, found
        assert page.next != at, "it does not get on"
        at = page.next


def test_a_search_out_of_time_goes_on(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "_LARGE_BLOCK", 200)
    pieces, found = search_on(logs, Query(RequestFilter(account="müller")))
    assert (pieces > 2, found) == (True, ["req_b"])


def test_unopened_answers_are_reported(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_search, "BODIES", 0)
    results = find(logs, Query(text="fleet"))
    assert (results.rows, results.unread_bodies) == ([], True)


@given(
    st.lists(st.binary(max_size=40).map(lambda each: each.replace(b"\n", b""))), st.integers(1, 50)
)
def test_blocks_hold_all_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(b"\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_files, "_LARGE_BLOCK", size)
        blocks = list(log_files.blocks_backwards(path))
    assert b"".join(block for _, block in reversed(blocks)) == b"\n".join(lines)
    assert all(path.read_bytes()[at : at + len(block)] == block for at, block in blocks)
