from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.bodies import FileBodies, read_body
from neurolink_mitm.adapters.journal import FileJournal
from neurolink_mitm.core.logs.capture import Body, Captured, Phase, document
from neurolink_mitm.core.redact.secret import Secret
from tests.fakes import NOW
from tests.waiting import LIMIT, wait_until

PATH = "bodies/2025-10-09/req_1/1-x.json.gz"
GOOD = gzip.compress(document(Body(b"[1]", 3), ()))


def write(logs: Path, data: bytes, path: str = PATH) -> None:
    (logs / path).parent.mkdir(parents=True, exist_ok=True)
    (logs / path).write_bytes(data)


def test_a_body(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    found = read_body(tmp_path, PATH)
    assert found is not None
    assert bytes(found.body) == b"[1]"


@pytest.mark.parametrize(
    "data",
    [b"", b"no gzip", GOOD[:-9], gzip.compress(b"{}")],
    ids=["empty", "not packed", "cut", "another form"],
)
def test_what_is_no_whole_body(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, data)
    assert read_body(tmp_path, PATH) is None


@pytest.mark.parametrize(
    "path",
    [
        None, 1, PATH, "../secret.json.gz", "bodies/../secret.json.gz", "bodies/\0", "\ud800", "a" * 5000,
        "bodies/loop", "bodies/fifo", "bodies",
    ],
    ids=lambda path: repr(path)[:30],
)  # fmt: skip
def test_nothing_but_bodies_is_read(tmp_path: Path, path: object) -> None:
    """Whatever a row names."""
    write(tmp_path / "logs", GOOD, "secret.json.gz")
    (tmp_path / "logs/bodies").mkdir()
    (tmp_path / "logs/bodies/loop").symlink_to("loop")
    os.mkfifo(tmp_path / "logs/bodies/fifo")
    write(tmp_path, GOOD, "secret.json.gz")
    assert read_body(tmp_path / "logs", path) is None


def captured(content: bytes = b"{}", request: str = "req_1", **changes: Any) -> Captured:
    fields: dict[str, Any] = {
        "request_id": request,
        "at": NOW,
        "phase": Phase.UPSTREAM_REQUEST,
        "fields": ((b"content-type", b"application/json"),),
        "body": Body(content, len(content)),
        "attempt": 2,
    }
    return Captured(**fields | changes)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FileJournal]:
    journal = FileJournal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def bodies(tmp_path: Path, journal: FileJournal) -> Iterator[FileBodies]:
    bodies = FileBodies(tmp_path, journal)
    yield bodies
    bodies.close(LIMIT)


def rows(logs: Path, bodies: FileBodies, journal: FileJournal) -> list[dict[str, Any]]:
    bodies.close(LIMIT)
    journal.close()
    path = logs / "proxy-debug-2025-10-09.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_body_has_a_file_and_a_row(
    bodies: FileBodies, journal: FileJournal, tmp_path: Path
) -> None:
    bodies.capture(captured(b'{"a": 1}'))
    [row] = rows(tmp_path, bodies, journal)
    assert row["bodyPath"] == "bodies/2025-10-09/req_1/2-upstream-request.json.gz"
    assert json.loads(gzip.decompress((tmp_path / row["bodyPath"]).read_bytes()))["body"] == {
        "a": 1
    }


def test_an_empty_body_has_no_file(
    bodies: FileBodies, journal: FileJournal, tmp_path: Path
) -> None:
    bodies.capture(captured(b""))
    bodies.capture(captured(body=None))
    assert [row["bodyPath"] for row in rows(tmp_path, bodies, journal)] == [None, None]
    assert not (tmp_path / "bodies").exists()


def test_what_there_is_no_room_for_is_counted(journal: FileJournal, tmp_path: Path) -> None:
    bodies = FileBodies(tmp_path, journal, backlog=10_000)
    bodies.capture(captured(b"x" * 20_000))
    assert journal.report()["bodiesDropped"] == 1
    bodies.capture(captured())
    assert len(rows(tmp_path, bodies, journal)) == 1


def test_room_is_given_back(journal: FileJournal, tmp_path: Path) -> None:
    bodies = FileBodies(tmp_path, journal, backlog=1_000_000)
    for number in range(20):
        bodies.capture(captured(b"x" * 200_000, f"req_{number}"))
        wait_until(lambda: bodies._waiting < 500_000, "some are written")
    assert len(rows(tmp_path, bodies, journal)) == 20
    assert journal.bodies_lost == 0


def test_a_failing_disk_ends_nothing(
    bodies: FileBodies, journal: FileJournal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bodies").write_text("in the way")
    for _ in range(2):
        bodies.capture(captured())
    wait_until(lambda: journal.bodies_lost == 2, "both are counted")
    os.unlink(tmp_path / "bodies")
    bodies.capture(captured())
    assert len(rows(tmp_path, bodies, journal)) == 1
    assert len([r for r in caplog.records if "captured bodies are lost" in r.getMessage()]) == 1


def test_secrets_that_the_proxy_knows_are_starred(tmp_path: Path, journal: FileJournal) -> None:
    """Those too that have been renewed since: a request may have gone out with the last one."""
    current = ["corp-key-one"]
    bodies = FileBodies(tmp_path, journal, secrets=lambda: map(Secret, current))
    bodies.capture(captured(b"{}"))
    current[:] = ["corp-key-two"]
    echo = {"url": "http://h/?x=corp-key-one", "fields": ((b"x-echo", b"corp-key-two"),)}
    bodies.capture(captured(b'{"a":"corp-key-one, corp-key-two"}', "req_2", **echo))
    row = rows(tmp_path, bodies, journal)[-1]
    assert (row["url"], row["headers"]) == ("http://h/?x=***", [["x-echo", "***"]])
    document = json.loads(gzip.decompress((tmp_path / row["bodyPath"]).read_bytes()))
    assert document["body"] == {"a": "***, ***"}
