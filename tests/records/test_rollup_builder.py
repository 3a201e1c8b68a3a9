from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from neurolink_mitm.records import rollup_builder, rollup_files, rollup_reader
from neurolink_mitm.records.rollup_builder import Progress, RollupBuilder
from tests.waiting import LIMIT

DAYS = [date(2026, 11, day) for day in (20, 21, 22)]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for day in DAYS:
        row = f'{{"timestamp":"{day}T08:00:00.000Z","outcome":"complete"}}\n'
        (tmp_path / f"proxy-{day}.jsonl").write_text(row)
    return tmp_path


def test_days_are_summed_up_in_a_thread_the_newest_first(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[date] = []
    refresh = rollup_files.refresh

    def noted(logs: Path, day: date, breathe: rollup_files.Breathe) -> None:
        order.append(day)
        refresh(logs, day, breathe)

    monkeypatch.setattr(rollup_files, "refresh", noted)
    builder = RollupBuilder(logs, pause=0)
    assert builder.build(DAYS) == Progress(0, 3)
    builder.join(LIMIT)
    assert order == DAYS[::-1]
    assert rollup_reader.days(logs) == set(DAYS)
    assert builder.build([]) is None


def test_a_day_that_fails_is_left_out_for_a_while(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logs / "rollups").touch()
    builder = RollupBuilder(logs, pause=0)
    builder.build(DAYS[:1])
    builder.join(LIMIT)
    assert builder.failed == {DAYS[0]: "File exists"}
    assert builder.build(DAYS[:1]) is None
    monkeypatch.setattr(rollup_builder, "TRY_AGAIN", -1)
    assert builder.build(DAYS[:1]) is not None
    builder.join(LIMIT)
