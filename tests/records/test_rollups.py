from __future__ import annotations

from typing import Any

import msgspec
import pytest

from neurolink_mitm.records import rollups
from neurolink_mitm.records.rollups import (
    ATTEMPTS,
    BrokenError,
    NewerError,
    Rollup,
    Source,
    encode,
    read_groups,
    read_header,
)  # fmt: skip
from neurolink_mitm.records.row_reader import LoggedAttempt, LoggedRequest
from neurolink_mitm.records.stats import REST, WHOLE

DAY = "2025-10-09"


def request(minute: str = "08:00", **fields: Any) -> LoggedRequest:
    fields = {"outcome": "complete", "attempts": 1, **fields}
    return LoggedRequest(timestamp=f"{DAY}T{minute}:20.000Z", **fields)


def requests_of(rollup: Rollup, section: str) -> dict[str, int]:
    groups = rollup.requests[section]
    return {key: sum(cell.requests for cell in cells.values()) for key, cells in groups.items()}


def test_requests_are_summed_up_by_each_group() -> None:
    rollup = Rollup()
    rollup.add([
        request(account="a", model="m"),
        request(account="b", actualModel="n", model="m"),
        request("08:20", account="a", outcome="error", responseStatus=429),
    ])  # fmt: skip
    assert requests_of(rollup, WHOLE) == {WHOLE: 3}
    assert requests_of(rollup, "account") == {"a": 2, "b": 1}
    assert requests_of(rollup, "model") == {"m": 1, "n": 1, "(none)": 1}
    assert requests_of(rollup, "outcome") == {"complete": 2, "error 429": 1}
    assert len(rollup.requests["account"]["a"]) == 2


def test_rows_without_a_time_are_counted() -> None:
    rollup = Rollup()
    assert rollup.add([LoggedRequest(timestamp="soon"), request()]) == 1
    assert rollup.add_attempts([LoggedAttempt(timestamp="soon")]) == 1


def test_further_groups_are_summed_up_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MAX_KEYS", 2)
    rollup = Rollup()
    rollup.add(request(sessionId=each) for each in "abcadb")
    assert requests_of(rollup, "session") == {"a": 2, "b": 2, REST: 2}


def test_further_slots_are_summed_up_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MAX_CELLS", 2)
    rollup = Rollup()
    rollup.add(request(f"{hour:02}:00", sessionId="a") for hour in (1, 2, 3, 2, 4))
    assert requests_of(rollup, "session") == {"a": 3, REST: 2}


def test_combinations_are_folded_as_they_become_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "_PENDING", 2)
    rollup = Rollup()
    rollup.add(request(sessionId=str(n % 5), ttfbMs=5.0) for n in range(20))
    assert set(requests_of(rollup, "session").values()) == {4}
    assert sum(rollup.requests[WHOLE][WHOLE].popitem()[1].first_byte.counts.values()) == 20


def test_a_file_is_read_as_it_was_written() -> None:
    rollup = Rollup()
    rollup.add([request(account="ä\n", costUsd=1e300, inputTokens=10**30, ttfbMs=-1.0)])
    rollup.add_attempts([LoggedAttempt(timestamp=f"{DAY}T08:00:00.000Z", waitMs=5.0)])
    data = encode(DAY, rollup)
    first, _, rest = data.partition(b"\n")
    header = read_header(first, DAY)
    for name, groups in rollup.requests.items():
        at, length, _ = header.sections[name]
        assert read_groups(rest[at : at + length], header.sections[name]) == groups
    at, length, _ = header.sections[ATTEMPTS]
    assert rollups.read_times(rest[at : at + length], header.sections[ATTEMPTS]) == rollup.attempts


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"\xff", b'{"version":1}', b'{"version":0}', b"[" * 100_000],
    ids=["empty", "torn", "list", "no-utf8", "no-day", "old", "deep"],
)
def test_what_is_no_header(line: bytes) -> None:
    with pytest.raises(BrokenError):
        read_header(line, DAY)


def test_the_header_of_another_day() -> None:
    with pytest.raises(BrokenError):
        read_header(encode(DAY, Rollup()).partition(b"\n")[0], "2025-10-10")


def test_a_header_that_has_read_less_than_nothing() -> None:
    rollup = Rollup(sources={"proxy": Source(1, -5, 0, 0)})
    with pytest.raises(BrokenError):
        read_header(encode(DAY, rollup).partition(b"\n")[0], DAY)


def test_a_later_version_is_told_from_a_broken_file() -> None:
    header = msgspec.json.decode(encode(DAY, Rollup()).partition(b"\n")[0])
    with pytest.raises(NewerError):
        read_header(msgspec.json.encode({"version": 2, "days": header}), DAY)


def test_a_section_that_was_changed() -> None:
    line = b"{}\n"
    assert read_groups(line, (0, 3, rollups.crc32(line))) == {}
    for expected in [(0, 3, 1), (0, 4, rollups.crc32(line))]:
        with pytest.raises(BrokenError):
            read_groups(line, expected)
    with pytest.raises(BrokenError):
        read_groups(b"[]\n", (0, 3, rollups.crc32(b"[]\n")))
