from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from neurolink_mitm.records.row_reader import RequestFilter
from neurolink_mitm.records.search import (
    captured_since,
    har_entries,
    latest,
    request_record,
    rows_of,
)


def write(logs: Path, family: str, day: int, *rows: dict[str, object]) -> None:
    lines = b"".join(
        msgspec.json.encode({"timestamp": f"2026-11-{day}T08:00:00.000Z", **row}) + b"\n"
        for row in rows
    )
    (logs / f"{family}-2026-11-{day}.jsonl").write_bytes(lines)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Requests a and b on one day, b again and c on the next, and a torn line."""
    write(tmp_path, "proxy", 21, {"requestId": "a"}, {"requestId": "b", "account": "work"})
    write(tmp_path, "proxy", 22, {"requestId": "b"}, {"requestId": "c"})
    with (tmp_path / "proxy-2026-11-22.jsonl").open("ab") as file:
        file.write(b'{"timestamp":"2026')
    write(
        tmp_path, "proxy-attempts", 22, {"requestId": "c", "attempt": 2},
        {"requestId": "c", "attempt": 1},
    )  # fmt: skip
    write(tmp_path, "proxy-debug", 22, {"requestId": "c", "phase": "client_request"})
    return tmp_path


def test_the_rows_of_a_request(logs: Path) -> None:
    record = request_record(logs, "c")
    assert record.request
    assert [row["attempt"] for row in record.attempts] == [1, 2]
    assert [row["phase"] for row in record.captured] == ["client_request"]
    assert not request_record(logs, "c", captured=False).captured


def test_a_request_without_rows(logs: Path) -> None:
    assert not request_record(logs, "d")


def test_the_newest_day_comes_first(logs: Path) -> None:
    assert [row["timestamp"][8:10] for row in rows_of(logs, "proxy", "b")] == ["22", "21"]


@pytest.mark.parametrize(("count", "ids"), [(0, ""), (2, "bc"), (9, "abbc")])
def test_the_latest_requests(logs: Path, count: int, ids: str) -> None:
    assert "".join(row.requestId for _, row in latest(logs, count, RequestFilter())) == ids


def test_the_latest_requests_of_an_account(logs: Path) -> None:
    [(line, row)] = latest(logs, 9, RequestFilter(account="work"))
    assert msgspec.json.decode(line)["requestId"] == row.requestId == "b"


def test_what_was_captured_since_a_time(logs: Path) -> None:
    nine = datetime(2026, 11, 22, 9, tzinfo=UTC).timestamp()
    assert len(list(captured_since(logs, nine - 3600))) == 1
    assert not list(captured_since(logs, nine))


def test_har_entries_have_the_times_of_their_attempts_day_by_day(logs: Path) -> None:
    for day in (23, 24):
        sides = ({"requestId": f"r{n}", "attempt": 1, "phase": f"upstream_{phase}", "durationMs": 9}
                 for n in (1, 2) for phase in ("request", "response"))  # fmt: skip
        write(logs, "proxy-debug", day, *sides)
        write(logs, "proxy-attempts", day, {"requestId": "r2", "attempt": 1, "connectMs": day / 10})
    sides = captured_since(logs, datetime(2026, 11, 23, tzinfo=UTC).timestamp())
    entries = [msgspec.json.decode(entry) for entry in har_entries(logs, sides)]
    connect = [entry["timings"].get("connect") for entry in entries]
    assert connect == [None, 2.3, None, 2.4]
