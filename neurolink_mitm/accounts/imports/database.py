"""Reads an SQLite database of another program, without a byte, a time or a file changed.

A database in WAL mode has its newest changes in `NAME-wal`. SQLite would need `NAME-shm` beside it to read them, and
makes that file, so the log is applied to a copy in memory:
https://www.sqlite.org/fileformat2.html#the_write_ahead_log
Without a log the file is opened as immutable, which takes no lock and makes no file.
"""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from neurolink_mitm.accounts.imports.entries import Row, SourceError
from neurolink_mitm.adapters.files import read

LARGEST_IN_MEMORY = 300_000_000
"""Bytes of a database with a log."""
LARGEST_LOG = 100_000_000
LONGEST_VALUE = 4_000_000
MOST_ROWS = 1000
LIMIT = 5.0
"""Seconds of a query: a hostile schema may make any query endless."""
_STEPS = 10_000
_MAGIC = b"SQLite format 3\x00"


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield the database, read only. Raises `SourceError`."""
    _check(path)
    try:
        with closing(_connected(path)) as connection:
            _bound(connection)
            yield connection
    except sqlite3.Error as e:
        raise SourceError(f"{path} can't be read as an SQLite database: {_reason(e)}") from e
    except OSError as e:
        raise SourceError(f"{path} can't be read: {e.strerror or e}") from e
    except MemoryError as e:
        raise SourceError(f"{path} is too large for this machine's memory") from e


def query(connection: sqlite3.Connection, sql: str, values: Sequence[object] = ()) -> list[Row]:
    """Return at most `MOST_ROWS` rows as mappings."""
    cursor = connection.execute(sql, tuple(values))
    names = [each[0] for each in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchmany(MOST_ROWS)]


def columns(connection: sqlite3.Connection, table: str) -> frozenset[str]:
    """Return the columns of a table; none if it does not exist."""
    rows = query(connection, "SELECT name FROM pragma_table_info(?)", (table,))
    return frozenset(str(row["name"]) for row in rows)


def _connected(path: Path) -> sqlite3.Connection:
    log = _log(path)
    if log is None:
        address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
        return sqlite3.connect(address, uri=True)
    connection = sqlite3.connect(":memory:")
    connection.deserialize(_merged(path, log))
    return connection


def _check(path: Path) -> None:
    """Raise `SourceError` where SQLite would wait for a FIFO, or make a message of its own."""
    try:
        if read(path, len(_MAGIC)) is None:
            raise SourceError(f"{path} is not there")
        raise SourceError(f"{path} is not an SQLite database")
    except OSError as e:
        raise SourceError(f"{path} can't be read: {e.strerror or e}") from e
    except ValueError:  # it is longer than that
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise SourceError(f"{path} is not an SQLite database") from None


def _log(path: Path) -> bytes | None:
    """Return the write-ahead log; None if there is none, or nothing in it."""
    beside = Path(f"{path.resolve()}-wal")
    try:
        return read(beside, LARGEST_LOG) or None
    except ValueError:
        raise SourceError(f"{beside} is too large: end the program that writes it") from None


def _merged(path: Path, log: bytes) -> bytes:
    """Return the database with the committed changes of the log, as one that has none."""
    try:
        pages = bytearray(read(path, LARGEST_IN_MEMORY) or b"")
    except ValueError:
        text = f"{path} is too large to be read beside its log: end the program that writes it"
        raise SourceError(text) from None
    for offset, page in _committed(log):
        end = offset + len(page)
        if end > LARGEST_IN_MEMORY:
            raise SourceError(f"{path}-wal is damaged")
        pages.extend(bytes(max(0, end - len(pages))))
        pages[offset:end] = page
    pages[18:20] = b"\x01\x01"  # read and write version: no write-ahead log
    return bytes(pages)


def _committed(log: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield offset and content of each page that a transaction of the log has committed."""
    if len(log) < 32:
        return
    _, _, size, _, *salt = struct.unpack(">6I", log[:24])
    if size < 512 or size > 65536:
        return
    waiting: list[tuple[int, bytes]] = []
    for start in range(32, len(log) - 24 - size + 1, 24 + size):
        number, pages, *frame_salt = struct.unpack(">4I", log[start : start + 16])
        if frame_salt != salt or number == 0:  # of an earlier log in the same file
            return
        waiting.append(((number - 1) * size, log[start + 24 : start + 24 + size]))
        if pages:  # the last frame of a transaction
            yield from waiting
            waiting = []


def _bound(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    end = time.monotonic() + LIMIT
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)


def _reason(error: sqlite3.Error) -> str:
    return "it takes too long" if "interrupted" in str(error) else str(error)[:100]
