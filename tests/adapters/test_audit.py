from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.core.logs.audit import LEFT_OUT, Actor
from tests.schemas import faults

NOW = 1_760_000_000.0
DAY = "audit-2025-10-09.jsonl"
KEY = "sk-ant-api03-0123456789abcdef"


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    """The log of a directory that is not there yet."""
    return Audit(tmp_path / "home" / "logs", Actor.DASHBOARD, lambda: NOW)


def rows(audit: Audit) -> list[dict[str, Any]]:
    read = [json.loads(line) for line in (audit.logs / DAY).read_bytes().splitlines() if line]
    assert [fault for row in read for fault in faults("audit", row)] == []
    return read


def test_a_change_is_a_row(audit: Audit) -> None:
    audit.record("pause", "work", None, {"until": "2025-10-09T18:00:00Z", "reason": "meeting"})
    assert rows(audit) == [
        {
            "timestamp": "2025-10-09T08:53:20.000Z", "actor": "dashboard", "action": "pause",
            "target": "work", "before": None,
            "after": {"until": "2025-10-09T18:00:00Z", "reason": "meeting"},
        }
    ]  # fmt: skip
    assert stat.S_IMODE((audit.logs / DAY).stat().st_mode) == 0o600
    assert stat.S_IMODE(audit.logs.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "value",
    [
        KEY, [KEY], {KEY: 1}, {"a": {"b": f"x {KEY} y"}}, f"https://x.example/?api_key={KEY}",
        {"apiKey": KEY[16:]}, f"https://u:{KEY[16:]}@proxy.example",
    ],
    ids=["text", "list", "name", "nested", "query", "member", "url"],
)  # fmt: skip
def test_secrets_are_masked(audit: Audit, value: Any) -> None:
    audit.record("config edit", f"x {KEY}", value, value)
    [row] = rows(audit)
    assert KEY[16:] not in json.dumps(row)


@pytest.mark.parametrize(
    "text", ["\ud800", 'a"b\\c\nd', "Ⅷ" * 20, "\u2028", ""], ids=["surrogate", "json", "wide", "line", "empty"]
)  # fmt: skip
def test_any_text_is_one_line(audit: Audit, text: str) -> None:
    audit.record("pause", text, text, {text: text})
    assert len((audit.logs / DAY).read_bytes().splitlines()) == len(rows(audit)) == 1


def test_a_long_value_is_left_out(audit: Audit) -> None:
    audit.record("order", None, None, ["label"] * 20_000)
    assert rows(audit)[0]["after"] == LEFT_OUT


def test_a_torn_row_is_ended(audit: Audit) -> None:
    audit.record("order")
    with (audit.logs / DAY).open("ab") as file:
        file.write(b'{"timestamp":"2025')
    audit.record("resume", "work")
    assert (audit.logs / DAY).read_bytes().count(b"\n") == 3


def test_many_writers_at_once(audit: Audit) -> None:
    threads = [
        threading.Thread(target=lambda: [audit.record("pause", "work") for _ in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(audit)) == 400


def _unwritable(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.mkdir()


def _pipe(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


def _no_directory(path: Path) -> None:
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("a file")


def _full(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.symlink_to("/dev/full")


@pytest.mark.parametrize("fault", [_unwritable, _pipe, _no_directory, _full])
def test_a_log_that_cant_be_written_is_reported(
    audit: Audit, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fault(audit.logs / DAY)
    audit.record("pause", "work")
    [message] = caplog.messages
    assert "pause was done, but is not in the audit log" in message
