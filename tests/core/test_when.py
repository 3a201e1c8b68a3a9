from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neurolink_mitm.core import when
from neurolink_mitm.core.when import moment

NOW = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90s", "2026-11-23T10:28:30"),
        ("30m", "2026-11-23T10:00:00"),
        ("30 min", "2026-11-23T10:00:00"),
        ("1.5h", "2026-11-23T09:00:00"),
        ("2d", "2026-11-21T10:30:00"),
        ("1w", "2026-11-16T10:30:00"),
        ("now", "2026-11-23T10:30:00"),
        ("today", "2026-11-23T00:00:00"),
        ("Yesterday", "2026-11-22T00:00:00"),
        ("2026-11-20", "2026-11-20T00:00:00"),
        ("2026-11-20T08:15", "2026-11-20T08:15:00"),
        ("2026-11-20T08:15+02:00", "2026-11-20T06:15:00"),
        ("2026-11-20T08:15:00Z", "2026-11-20T08:15:00"),
    ],
)
def test_moments(text: str, found: str) -> None:
    assert datetime.fromtimestamp(moment(text, NOW.timestamp()), UTC).isoformat()[:19] == found


@pytest.mark.parametrize("text", ["", "soon", "5", "-3h", "2026-13-01", "h"])
def test_what_is_no_time_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 30m"):
        moment(text, NOW.timestamp())


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("2026-11-28T13:05:59.123Z", "13:05:59Z"),
        ("2026-11-28T18:35:59+05:30", "13:05:59Z"),
        (1795871159.9, "13:05:59Z"),
    ],
)
def test_a_time_of_day_is_utc_and_marked(told: str | float, shown: str) -> None:
    assert when.clock(told) == shown
    assert when.clock(told, seconds=False) == "13:05Z"


def test_no_other_part_tells_local_time() -> None:
    """What makes text of a moment names UTC; durations and days of a cap are not of it."""
    package = Path(when.__file__).parents[1]
    local = re.compile(r"\.astimezone\(\)|time\.localtime|strftime\((?!.*Z\")")
    found = [
        f"{path.name}: {line.strip()}"
        for path in package.rglob("*.py")
        for line in path.read_text().splitlines()
        if local.search(line)
    ]
    assert found == []
