"""Reads the audit log: who changed what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from neurolink_mitm.core.logs.audit import AUDIT
from neurolink_mitm.core.logs.timestamps import local_date_time
from neurolink_mitm.records import log_files
from neurolink_mitm.records.format import one_line
from neurolink_mitm.records.row_reader import RowReader, TimeRange

Row = dict[str, Any]


def changes(logs: Path, count: int, since: float | None = None) -> list[Row]:
    """Return the last `count` rows since a time (seconds since the epoch), the oldest first."""
    times, reader = TimeRange.of(since, None), RowReader()
    rows: list[Row] = []
    for path in reversed(log_files.files(logs, AUDIT, since)):
        for row in reader.read_all(AUDIT, log_files.lines_backwards(path)):
            if len(rows) == count:
                return rows[::-1]
            if row["timestamp"] in times:
                rows.append(row)
    return rows[::-1]


def change_line(row: Row) -> str:
    """Return a row as a line: when, who, what, and the value before and after."""
    try:
        at = local_date_time(row["timestamp"])
    except ValueError:  # no row of ours
        at = row["timestamp"]
    what = " ".join(filter(None, (row.get("action"), row.get("target"))))
    values = f"{_value(row.get('before'))} → {_value(row.get('after'))}"
    return one_line(f"{at}  {row.get('actor') or '–'}  {what}  {values}")


def _value(value: Any) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
