from __future__ import annotations

import json
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.adapters import journal as journals
from neurolink_mitm.adapters.journal import FileJournal, encode
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow, attempt_row, request_row
from neurolink_mitm.core.redact.text import redact
from tests.fakes import make_account, make_attempt, make_exchange
from tests.schemas import family_of, faults
from tests.waiting import LIMIT, wait_until

KEY = "sk-ant-api03-0123456789abcdef"


def a_request(**fields: Any) -> RequestRow:
    return request_row(make_exchange(**fields))


def an_attempt(**fields: Any) -> AttemptRow:
    account = make_account()
    return attempt_row(make_exchange(), make_attempt(account, **fields))


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Each of them as its schema says."""
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert [fault for row in rows for fault in faults(family_of(path), row)] == []
    return rows


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "home" / "logs"


@pytest.fixture
def journal(logs: Path) -> Iterator[FileJournal]:
    """A journal on a directory that is not there yet."""
    journal = FileJournal(logs)
    yield journal
    journal.close()


@pytest.fixture
def blocked(logs: Path) -> Iterator[int]:
    """A disk that takes nothing: where the day's attempts belong there is a pipe that nobody reads.

    Its other end is handed out, to take the blockade away by reading.
    """
    logs.mkdir(parents=True)
    pipe = logs / "proxy-attempts-2025-10-09.jsonl"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(descriptor, b"\n" * 4096)
    except BlockingIOError:
        pass
    yield descriptor
    os.close(descriptor)


def read_all(descriptor: int, writer: threading.Thread) -> bytes:
    """What comes through the pipe until the writer has ended."""
    read = b""
    ended = False
    while not ended:
        ended = not writer.is_alive()  # looked at first: what it wrote at last is read below
        try:
            while data := os.read(descriptor, 65536):
                read += data
        except BlockingIOError:
            writer.join(0.01)
    return read


def closing(journal: FileJournal) -> threading.Thread:
    thread = threading.Thread(target=journal.close, args=(LIMIT,), daemon=True)
    thread.start()
    return thread


def test_a_row_is_a_line(journal: FileJournal, logs: Path) -> None:
    row = a_request(model="claude-x", path="/v1/messages")
    journal.request(row)
    journal.close()
    assert lines_of(logs / "proxy-2025-10-09.jsonl") == [
        {name: getattr(row, name) for name in row.__struct_fields__}
    ]


def test_families_have_files_of_their_own(journal: FileJournal, logs: Path) -> None:
    journal.attempt(an_attempt(number=1))
    journal.attempt(an_attempt(number=2))
    journal.request(a_request())
    journal.close()
    assert sorted(os.listdir(logs)) == [
        "proxy-2025-10-09.jsonl",
        "proxy-attempts-2025-10-09.jsonl",
    ]
    attempts = lines_of(logs / "proxy-attempts-2025-10-09.jsonl")
    assert [line["attempt"] for line in attempts] == [1, 2]


def test_the_day_is_the_rows_own(journal: FileJournal, logs: Path) -> None:
    """In UTC: a request that began before midnight belongs to that day, whenever it ends."""
    before, after = 1_759_967_999.9, 1_759_968_000.0  # 2025-10-08T23:59:59.9Z and 0.1 s later
    journal.request(a_request(request_id="late", began_at=before, ended_at=after + 60))
    journal.request(a_request(request_id="early", began_at=after))
    journal.close()
    found = {path.name: lines_of(path)[0]["requestId"] for path in logs.iterdir()}
    assert found == {"proxy-2025-10-08.jsonl": "late", "proxy-2025-10-09.jsonl": "early"}


def test_rows_are_added_to_what_is_there(logs: Path) -> None:
    for number in (1, 2):
        journal = FileJournal(logs)
        journal.attempt(an_attempt(number=number))
        journal.close()
    attempts = lines_of(logs / "proxy-attempts-2025-10-09.jsonl")
    assert [line["attempt"] for line in attempts] == [1, 2]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_nobody_else_can_read_it_at_any_time(
    logs: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    """Looked at when a file has just been made, before a byte is in it."""
    seen: list[tuple[int, int]] = []
    fdopen = os.fdopen

    def look(descriptor: int, *how: Any, **more: Any) -> Any:
        found = os.fstat(descriptor)
        seen.append((stat.S_IMODE(found.st_mode), found.st_size))
        return fdopen(descriptor, *how, **more)

    monkeypatch.setattr(journals.os, "fdopen", look)
    before = os.umask(umask)
    try:
        journal = FileJournal(logs)
        journal.request(a_request())
        journal.close()
    finally:
        os.umask(before)
    assert seen == [(0o600, 0)]
    assert mode_of(logs / "proxy-2025-10-09.jsonl") == 0o600
    assert mode_of(logs) == 0o700


@pytest.mark.parametrize("field", ["why", "model", "session_id"])
def test_keys_are_starred_wherever_they_stand(journal: FileJournal, logs: Path, field: str) -> None:
    journal.request(a_request(**{field: f"said {KEY}."}))
    journal.close()
    [line] = lines_of(logs / "proxy-2025-10-09.jsonl")
    assert KEY not in json.dumps(line)
    assert "said ***" in json.dumps(line)


PIECES = [KEY, "Bearer 0123456789", "?key=abc", "&token=", '"', "\\", "\n", "ß", " ", "a", "\u2028"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_each_text_is_masked_as_it_is_by_itself(text: str) -> None:
    row = msgspec.structs.replace(a_request(), path=text, why=text)
    written = json.loads(encode(row))
    assert (written["path"], written["why"]) == (redact(text), redact(text))


def test_a_secret_in_a_query_does_not_eat_the_rest(journal: FileJournal, logs: Path) -> None:
    journal.request(a_request(path="/v1/files?key=abc", model="claude-x"))
    journal.close()
    [line] = lines_of(logs / "proxy-2025-10-09.jsonl")
    assert (line["path"], line["model"]) == ("/v1/files?key=***", "claude-x")


def test_what_is_no_text_is_written_all_the_same(journal: FileJournal, logs: Path) -> None:
    """A client may send any byte in a path; mitmproxy makes a lone surrogate of it, which JSON can't hold."""
    journal.request(a_request(path="/v1/\udcff", request_id="odd"))
    journal.request(a_request(request_id="next"))
    journal.close()
    lines = lines_of(logs / "proxy-2025-10-09.jsonl")
    assert [line["requestId"] for line in lines] == ["odd", "next"]
    assert lines[0]["path"].startswith("/v1/")


def test_a_slow_disk_is_not_waited_for(logs: Path, blocked: int) -> None:
    """What the backlog can't hold is counted; what was taken is written once the disk is back."""
    journal = FileJournal(logs, backlog=3)
    taken = 0
    began = time.monotonic()
    while not journal.lost and taken < 5000:
        journal.attempt(an_attempt(number=taken))
        taken += 1
    assert journal.lost == 1
    assert time.monotonic() - began < LIMIT

    written = read_all(blocked, closing(journal)).split()
    assert len(written) + journal.lost == taken
    assert all(json.loads(line)["requestId"] == "req_1" for line in written)


def test_closing_is_bounded(logs: Path, blocked: int) -> None:
    journal = FileJournal(logs, backlog=3)
    while not journal.lost:
        journal.attempt(an_attempt())
    began = time.monotonic()
    journal.close(timeout=0.2)
    assert time.monotonic() - began < LIMIT / 2
    read_all(blocked, closing(journal))


def test_closing_writes_what_is_left(journal: FileJournal, logs: Path) -> None:
    for number in range(2000):
        journal.attempt(an_attempt(number=number))
    journal.close()
    attempts = lines_of(logs / "proxy-attempts-2025-10-09.jsonl")
    assert [line["attempt"] for line in attempts] == list(range(2000))
    assert journal.lost == 0


def test_closing_leaves_no_file_open(journal: FileJournal, logs: Path) -> None:
    journal.request(a_request())
    journal.close()
    open_files = (os.readlink(f"/proc/self/fd/{fd}") for fd in safe_listing("/proc/self/fd"))
    assert not [name for name in open_files if name.startswith(str(logs))]


def safe_listing(directory: str) -> list[str]:
    """Without the entry of the listing itself, which is gone when it is looked at."""
    if not os.path.isdir(directory):
        pytest.skip("open files can't be listed here")
    return [name for name in os.listdir(directory) if os.path.lexists(f"{directory}/{name}")]


def test_a_directory_that_is_taken_away_is_made_anew(journal: FileJournal, logs: Path) -> None:
    path = logs / "proxy-2025-10-09.jsonl"
    journal.request(a_request())
    wait_until(path.exists, "the first row is written")
    path.unlink()
    logs.rmdir()
    journal.request(a_request(request_id="req_2"))
    journal.close()
    assert [line["requestId"] for line in lines_of(path)] == ["req_2"]
    assert mode_of(logs) == 0o700


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.fixture(params=["directory is a file", "disk is full"])
def broken(request: pytest.FixtureRequest, logs: Path) -> Path:
    """A disk that refuses; it is mended by removing what this hands out."""
    logs.parent.mkdir()
    if request.param == "directory is a file":
        logs.write_text("")
        return logs
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    logs.mkdir()
    full = logs / "proxy-2025-10-09.jsonl"
    full.symlink_to("/dev/full")
    return full


def test_a_failing_disk_is_reported_once_and_once_more_when_it_is_back(
    journal: FileJournal, logs: Path, broken: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "neurolink.journal")
    for lost in (1, 2, 3):
        journal.request(a_request())
        wait_until(lambda lost=lost: journal.lost == lost, f"{lost} rows are counted as lost")
    [complaint] = complaints(caplog)
    assert "can't be written" in complaint

    broken.unlink()
    journal.request(a_request(request_id="again"))
    journal.close()
    assert journal.lost == 3
    assert [line["requestId"] for line in lines_of(logs / "proxy-2025-10-09.jsonl")] == ["again"]
    assert "3 rows" in caplog.records[-1].getMessage()


def test_only_what_could_not_be_written_counts_as_lost(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both rows have come before the writer looks for them; the disk takes one."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    logs.mkdir(parents=True)
    (logs / "proxy-2025-10-09.jsonl").symlink_to("/dev/full")
    begin = threading.Thread.start
    held: list[threading.Thread] = []
    monkeypatch.setattr(threading.Thread, "start", lambda thread: held.append(thread))
    journal = FileJournal(logs)
    monkeypatch.undo()
    journal.request(a_request())
    journal.attempt(an_attempt())
    begin(held[0])
    journal.close()
    assert journal.lost == 1
    assert len(lines_of(logs / "proxy-attempts-2025-10-09.jsonl")) == 1


def test_a_second_failure_is_reported_again(
    journal: FileJournal, logs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logs.parent.mkdir()
    for lost in (1, 2):
        logs.write_text("")
        journal.request(a_request())
        wait_until(lambda lost=lost: journal.lost == lost, f"{lost} rows are counted as lost")
        logs.unlink()
        path = logs / "proxy-2025-10-09.jsonl"
        journal.request(a_request())
        wait_until(path.exists, "a row is written")
        wait_until(path.read_bytes, "a row is written")
        path.unlink()
        logs.rmdir()
    assert len(complaints(caplog)) == 2


def test_a_torn_line_is_ended_before_the_next_row(logs: Path) -> None:
    """As a process leaves it that is killed in the middle of a write."""
    logs.mkdir(parents=True)
    path = logs / "proxy-2025-10-09.jsonl"
    path.write_bytes(b'{"requestId":"whole"}\n{"requestId":"to')
    journal = FileJournal(logs)
    journal.request(a_request(request_id="next"))
    journal.close()
    whole, torn, after = path.read_bytes().splitlines()
    assert (whole, torn) == (b'{"requestId":"whole"}', b'{"requestId":"to')
    assert json.loads(after)["requestId"] == "next"


def test_rows_that_find_no_room_are_reported_once(
    logs: Path, blocked: int, caplog: pytest.LogCaptureFixture
) -> None:
    journal = FileJournal(logs, backlog=3)
    while journal.lost < 5:
        journal.attempt(an_attempt())
    [complaint] = complaints(caplog)
    assert "too slow" in complaint
    assert journal.report() == {"dropped": 5, "bodiesDropped": 0, "lastError": journal.last_error}
    read_all(blocked, closing(journal))


def test_all_is_well_at_first(journal: FileJournal) -> None:
    assert journal.report() == {"dropped": 0, "bodiesDropped": 0, "lastError": None}


def test_what_the_disk_refuses_is_told(journal: FileJournal, broken: Path) -> None:
    journal.request(a_request())
    wait_until(lambda: journal.lost, "a row is counted as lost")
    report = journal.report()
    assert report["dropped"] == 1
    assert str(report["lastError"]).startswith("[Errno ")


def test_whatever_a_row_breaks_the_next_ones_are_written(
    journal: FileJournal, logs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No disk is at fault here: there can be no file of that name."""
    journal.request(msgspec.structs.replace(a_request(), timestamp="\0"))
    wait_until(lambda: journal.lost, "the row is lost")
    journal.request(a_request(request_id="next"))
    journal.close()
    assert [row["requestId"] for row in lines_of(logs / "proxy-2025-10-09.jsonl")] == ["next"]
    assert "null" in str(journal.report()["lastError"])
    assert "the journal can't be written" in caplog.text
