"""`neurolink proxy replay`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.logs.timestamps import seconds
from tests.cli.processes import MESSAGE, Shell
from tests.cli.ui.test_running import neurolink
from tests.fakes import NOW
from tests.records.rows_for_replay import LIMITED_FOR_60, Row, asked, attempt


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["FILE", "-s", "fill-first"], 1),
        (["FILE", "-s", "nonsense"], 2),
        (["FILE"], 1),
        (["FILE", "--last", "1h"], 2),
        (["--last", "soon"], 2),
        (["--last", "1h", "--since", "2h"], 2),
        (["--since", "1h", "--until", "2h"], 2),
        (["--last", "0h"], 2),
        (["--last", "99999999999d"], 0),
    ],
    ids=[
        "no-attempts", "unknown-strategy", "no-strategy", "file-and-time", "no-time", "two-times",
        "backwards", "nothing", "for-ever",
    ],
)  # fmt: skip
def test_replay_refuses(home: Path, tmp_path: Path, arguments: list[str], code: int) -> None:
    file = tmp_path / "proxy-attempts-2026-11-22.jsonl"
    file.write_text("{\n")
    ended = neurolink("proxy", "replay", *(str(file) if a == "FILE" else a for a in arguments))
    assert ended.exit_code == code, ended.output
    assert "Traceback" not in ended.output


def test_replay_of_what_was_written(shell: Shell, tmp_path: Path) -> None:
    proxy, url = shell.serve("--sandbox")
    for _ in range(3):
        assert httpx.post(f"{url}/v1/messages", json=MESSAGE).status_code == 200
    proxy.signal()
    assert proxy.exit_code() == 0
    [log] = (shell.state.parent / "logs").glob("proxy-attempts-*.jsonl")
    ended = neurolink("proxy", "replay", str(log), "-s", "round-robin", "--format", "json")
    assert ended.exit_code == 0
    report = json.loads(ended.stdout)
    assert report["recorded"]["served"] == {"alpha": 2, "beta": 1}
    assert report["recorded"]["rateLimits"] == 1
    assert report["recorded"]["listUsd"] > 0
    assert report["round-robin"]["requests"] == 3


def write(home: Path, family: str, rows: Iterable[Row]) -> None:
    """Write rows of ten minutes ago, each to the file of its day."""
    logs = home / ".neurolink" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    shift = time.time() - NOW - 600
    for row in rows:
        moment = iso(seconds(str(row["timestamp"])) + shift)
        with (logs / f"{family}-{moment[:10]}.jsonl").open("a") as file:
            file.write(json.dumps(row | {"timestamp": moment}) + "\n")


@pytest.fixture
def written(home: Path) -> Path:
    """Four requests: the plan is limited for the second and the third."""
    plan: dict[str, Any] = {"accountType": "oauth"}
    write(home, "proxy-attempts", [
        attempt("r1", 0, "plan", **plan),
        attempt("r2", 10, "plan", **plan, **LIMITED_FOR_60),
        attempt("r2", 10.1, "key"),
        attempt("r3", 20, "key"),
        attempt("r4", 90, "plan", **plan),
    ])  # fmt: skip
    write(home, "proxy", [
        asked("r1", 0, "plan", sessionId="s", **plan),
        asked("r2", 10, "key", sessionId="s"),
        asked("r3", 20, "key", sessionId="s"),
        asked("r4", 90, "plan", sessionId="s", **plan),
    ])  # fmt: skip
    return home


def test_the_last_hours_under_all_strategies(written: Path) -> None:
    ended = neurolink("proxy", "replay", "--last", "1h", "--format", "json")
    report = json.loads(ended.stdout)
    same = ("requests", "rateLimits", "failovers", "refused", "paidUsd", "listUsd", "served")
    assert report["strategy"] == "fill-first"
    assert report["recorded"] == {
        "requests": 4, "rateLimits": 1, "failovers": 1, "refused": 0, "paidUsd": 2.0, "listUsd": 4.0,
        "unpriced": 0, "movedCacheTokens": 0, "served": {"plan": 2, "key": 2},
    }  # fmt: skip
    in_force = report["fill-first"]
    assert {name: in_force[name] for name in same} == {n: report["recorded"][n] for n in same}
    assert {"round-robin", "quota-aware"} <= report.keys()
    assert any("recorded 429" in each for each in report["assumptions"])


def test_as_a_table(written: Path) -> None:
    ended = neurolink("proxy", "replay")
    assert "fill-first (in force)" in ended.stdout
    assert "plan 2, key 2" in ended.stdout
    assert "An estimate. It assumes" in ended.stdout


def test_no_request(home: Path) -> None:
    ended = neurolink("proxy", "replay", "--last", "1h")
    assert ended.exit_code == 0
    assert "no request in this time" in ended.stderr
