from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.settings.values import Config, Routing
from neurolink_mitm.records.log_files import OnBytes
from neurolink_mitm.records.replay_pool import Setting
from neurolink_mitm.records.what_if import compare, record, record_file, setting_of
from tests.fakes import NOW
from tests.records.rows_for_replay import asked, attempt


def write(logs: Path, family: str, rows: list[dict[str, object]]) -> Path:
    path = logs / f"{family}-{iso(NOW)[:10]}.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + '{"timestamp":"2026-1')
    return path


def test_files_of_a_time(tmp_path: Path) -> None:
    write(tmp_path, "proxy", [asked("r1", 0, "a"), asked("r2", 50, "a")])
    path = write(tmp_path, "proxy-attempts", [attempt("r1", 0, "a"), attempt("r2", 50, "a")])
    of = record(tmp_path, NOW + 10, NOW + 100)
    assert ([each.at - NOW for each in of.requests], of.bad) == ([50.0], 2)
    assert [each.cost for each in record_file(path).requests] == [1.0, 1.0]
    assert record(tmp_path / "nowhere", 0.0, NOW).requests == []


def test_progress(tmp_path: Path) -> None:
    rows = [attempt(f"r{n}", n, "a") for n in range(120)]
    write(tmp_path, "proxy-attempts", rows)
    done: dict[str, list[int]] = {}

    @contextmanager
    def progress(what: str, total: int) -> Iterator[OnBytes]:
        done[what] = [total, 0]

        def advance(by: int) -> None:
            done[what][1] += by

        yield advance

    of = record(tmp_path, NOW - 1, NOW + 1000, progress)
    outcomes = compare(of, Setting(), ("fill-first",), progress)
    assert list(outcomes) == ["recorded", "fill-first"]
    assert done["replaying"] == [120, 120]
    assert done["reading"][0] == done["reading"][1]


def test_the_setting_is_the_configured_one() -> None:
    routing = Routing(session_affinity=False, primary_account="a", daily_cap_usd=3.0)
    setting = setting_of(Config(routing=routing))
    assert (setting.affinity, setting.primary, setting.cap) == (False, "a", 3.0)
