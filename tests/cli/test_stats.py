"""`neurolink stats`, on rows as they are and on many megabytes of them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.cli import main
from tests.cli.processes import NEUROLINK, Shell

ROW: dict[str, Any] = {
    "timestamp": "2026-11-21T10:00:00.000Z", "requestId": "req_1", "outcome": "complete",
    "attempts": 1, "account": "work", "model": "claude-x", "sessionId": "s1", "ttfbMs": 100.0,
    "inputTokens": 10, "outputTokens": 5, "cacheReadTokens": 30, "cacheCreationTokens": 0,
    "costUsd": 0.25, "why": "x" * 300,
}  # fmt: skip


def line(**changes: Any) -> bytes:
    return json.dumps(ROW | changes).encode() + b"\n"


@pytest.fixture
def logs(home: Path) -> Path:
    logs = home / ".neurolink" / "logs"
    logs.mkdir(parents=True)
    first = line() + line(account="home", outcome="error", attempts=2, costUsd=None)
    (logs / "proxy-2026-11-21.jsonl").write_bytes(first + b'{"timestamp":"2026-11-2')
    second = line(timestamp="2026-11-22T23:00:00.000Z")
    (logs / "proxy-2026-11-22.jsonl").write_bytes(second)
    return logs


def stats(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["stats", *arguments])


def test_a_table(logs: Path) -> None:
    ended = stats("--by", "account")
    titles, work, home, total = ended.stdout.splitlines()
    assert titles.split()[:4] == ["account", "requests", "errors", "failovers"]
    assert work.split() == ["work", "2", "0", "0", "20", "10", "0", "60", "75%", "0", "$0.50",
                            "100", "ms", "100", "ms"]  # fmt: skip
    assert home.split()[:4] == ["home", "1", "1", "1"]
    assert total.split()[:4] == ["total", "3", "1", "1"]
    assert "$0.50+" in total  # the cost of one is not known
    assert ended.stderr == "neurolink: 1 lines are no rows, left out\n"


ATTEMPTS = [
    {"account": "work", "connectMs": 20.0, "tlsMs": 40.0, "waitMs": 100.0, "reused": False},
    {"account": "work", "connectMs": 0.0, "tlsMs": 0.0, "waitMs": 100.0, "reused": True},
    {"account": "limited", "connectMs": 0.3, "tlsMs": 0.0, "waitMs": None, "reused": False},
]


@pytest.fixture
def timed(logs: Path) -> Path:
    """The times of three attempts, the last of them of an account that served nothing."""
    rows = [{"timestamp": "2026-11-21T10:00:00.000Z", **each} for each in ATTEMPTS]
    path = logs / "proxy-attempts-2026-11-21.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return logs


def test_the_times_of_attempts_have_a_table_of_their_own(timed: Path) -> None:
    table = stats("--by", "account").stdout.partition("\n\n")[2].splitlines()
    assert [" ".join(line.split()) for line in table] == [
        "attempts reused connect p50 p95 TLS p50 p95 wait p50 p95",
        "work 50% 20 ms 20 ms 40 ms 40 ms 100 ms 100 ms",
        "total 50% 0.3 ms 20 ms 40 ms 40 ms 100 ms 100 ms",
    ]


def test_of_sessions_only_the_total_is_told(timed: Path) -> None:
    table = stats("--by", "session").stdout.partition("\n\n")[2].splitlines()
    assert [line.split()[0] for line in table] == ["attempts", "total"]


def test_the_times_of_attempts_as_json(timed: Path) -> None:
    report = json.loads(stats("--by", "account", "--format", "json").stdout)
    work, home = report["rows"]
    assert (work["reusedShare"], home["reusedShare"]) == (0.5, None)
    assert report["total"]["p50TlsMs"] == pytest.approx(40, rel=0.02)


def test_as_json(logs: Path) -> None:
    report = json.loads(stats("--format", "json").stdout)
    assert report["by"] == "day"
    assert [(row["day"], row["requests"]) for row in report["rows"]] == [
        ("2026-11-21", 2),
        ("2026-11-22", 1),
    ]
    assert report["total"]["costUsd"] == 0.5


def test_as_csv(logs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(stats("--by", "model", "--format", "csv").stdout)))
    assert [(row["model"], row["requests"], row["unpriced"]) for row in rows] == [
        ("claude-x", "3", "1")
    ]


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        (["--since", "2026-11-22"], 1),
        (["--until", "2026-11-22"], 2),
        (["--since", "2026-11-21T10:00", "--until", "2026-11-21T10:01"], 2),
        (["--since", "2026-11-22T23:30"], 0),
    ],
)
def test_a_time(logs: Path, options: list[str], requests: int) -> None:
    report = json.loads(stats("--format", "json", *options).stdout)
    assert report["total"]["requests"] == requests


def test_a_time_that_is_none(logs: Path) -> None:
    ended = stats("--since", "soon")
    assert (ended.exit_code, ended.stdout) == (2, "")


def test_where_there_is_nothing(home: Path) -> None:
    ended = stats()
    assert ended.exit_code == 0
    assert "no request in this time" in ended.stderr


@pytest.fixture
def many(shell: Shell) -> int:
    """Rows of some 40 MB over four days."""
    logs = shell.home / ".neurolink" / "logs"
    logs.mkdir(parents=True)
    block = b"".join(line(account=f"a{n % 3}", sessionId=f"s{n}") for n in range(1000))
    for day in range(18, 22):
        (logs / f"proxy-2026-11-{day}.jsonl").write_bytes(block * 16)
    return 4 * 16 * 1000


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""
"""Runs a command and tells its peak of memory. A child begins with that of its parent: so this one is small."""


def test_many_rows_take_little_memory(shell: Shell, many: int) -> None:
    size = sum(f.stat().st_size for f in (shell.home / ".neurolink" / "logs").iterdir())
    assert size > 35_000_000
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *NEUROLINK, "stats", "--by", "session", "--format", "json"],
        env=shell.environment, capture_output=True, timeout=50, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["total"]["requests"] == many
    assert int(done.stderr) < 100_000  # kilobytes: with Python, click and all


def test_on_a_terminal_progress_is_shown_and_time_is_drawn(shell: Shell, many: int) -> None:
    program, *rest = NEUROLINK
    environment = {**shell.environment, "TERM": "xterm", "COLUMNS": "200", "NO_COLOR": "1"}
    child = pexpect.spawn(program, [*rest, "stats"], env=environment, dimensions=(40, 200),
                          timeout=50, cwd=os.fspath(shell.home), encoding="utf-8")  # fmt: skip
    child.expect("reading")
    child.expect("by hour")
    child.expect("2026-11-21 .*█")
    child.expect(pexpect.EOF)


@pytest.mark.parametrize(("width", "missing"), [(130, "into"), (80, "failovers"), (60, "p95")])
def test_on_a_narrow_terminal_columns_are_left_out_and_none_is_cut(
    timed: Path, width: int, missing: str
) -> None:
    program, *rest = NEUROLINK
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(width)}
    child = pexpect.spawn(program, [*rest, "stats"], env=environment, dimensions=(40, width),
                          timeout=50, encoding="utf-8")  # fmt: skip
    child.expect(pexpect.EOF)
    said = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", child.before or "")
    assert max(map(len, said.splitlines())) <= width
    for whole in ("2026-11-21", "requests", "$0.25+", "total", "reused", "100 ms"):
        assert whole in said
    assert "…" not in said
    assert (missing in said.partition("attempts")[0]) == (width == 130)


def test_less_than_a_cent_is_told(logs: Path) -> None:
    (logs / "proxy-2026-11-23.jsonl").write_bytes(
        line(timestamp="2026-11-23T01:00:00.000Z", costUsd=0.0041)
    )
    assert "$0.0041" in stats("--since", "2026-11-23").stdout
