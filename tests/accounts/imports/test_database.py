from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from neurolink_mitm.accounts.imports import database
from neurolink_mitm.accounts.imports.database import columns, opened, query
from neurolink_mitm.accounts.imports.entries import SourceError
from tests.accounts.imports.snapshot import snapshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "db").mkdir()
    return tmp_path / "db" / "odd name?#%.db"


def numbers(path: Path) -> list[object]:
    with opened(path) as connection:
        return [row["a"] for row in query(connection, "SELECT a FROM t ORDER BY a")]


def test_a_database_is_read_without_a_trace(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")
    connection.close()
    before = snapshot(path.parent)
    assert numbers(path) == [1, 2]
    with opened(path) as connection:
        assert columns(connection, "t") == {"a"}
        assert columns(connection, "none") == frozenset()
    assert snapshot(path.parent) == before


def test_changes_in_the_log_are_seen_without_a_trace(path: Path, tmp_path: Path) -> None:
    """What was committed, by a program that was killed; what was not is not seen."""
    writer = sqlite3.connect(tmp_path / "live.db", isolation_level=None)
    writer.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a); PRAGMA wal_checkpoint")
    writer.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(300)])
    writer.execute("DELETE FROM t WHERE a > 2")
    writer.execute("PRAGMA cache_size = 1")
    writer.execute("BEGIN")
    writer.executemany("INSERT INTO t VALUES (?)", [(f"open {'x' * 3000}",) for _ in range(99)])
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db{suffix}", f"{path}{suffix}")
    writer.close()
    before = snapshot(path.parent)
    assert numbers(path) == [0, 1, 2]
    assert snapshot(path.parent) == before


@pytest.mark.parametrize(
    "log", [b"x", b"\x00" * 32, os.urandom(5000)], ids=["short", "zero", "random"]
)
def test_a_damaged_log_changes_nothing(path: Path, log: bytes) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    connection.close()
    Path(f"{path}-wal").write_bytes(log)
    assert numbers(path) == [1]


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "empty", "text", "damaged"])
def test_what_is_no_database_is_one_error(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "missing":
        damaged = b"SQLite format 3\x00" + b"\x00" * 4000
        path.write_bytes({"empty": b"", "text": b"their secret" * 9, "damaged": damaged}[kind])
    before = snapshot(path.parent)
    with pytest.raises(SourceError) as caught:
        numbers(path)
    assert "their secret" not in str(caught.value)
    assert snapshot(path.parent) == before


def test_an_endless_view_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LIMIT", 0.05)
    with sqlite3.connect(path) as connection:
        endless = "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT sum(a) AS a FROM n"
        connection.execute(f"CREATE VIEW t AS {endless}")
    connection.close()
    with pytest.raises(SourceError, match="takes too long"):
        numbers(path)


def test_nothing_can_be_written(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    with pytest.raises(SourceError, match="readonly"), opened(path) as opened_here:
        opened_here.execute("INSERT INTO t VALUES (1)")
