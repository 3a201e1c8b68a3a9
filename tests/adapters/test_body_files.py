from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from neurolink_mitm.adapters.body_files import read_body
from neurolink_mitm.core.logs.capture import Body, document

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


@pytest.mark.parametrize("path", [None, 1, PATH, "../secret.json.gz", "bodies/../secret.json.gz"])
def test_nothing_but_bodies_is_read(tmp_path: Path, path: object) -> None:
    """Whatever a row names."""
    write(tmp_path / "logs", GOOD, "secret.json.gz")
    write(tmp_path, GOOD, "secret.json.gz")
    assert read_body(tmp_path / "logs", path) is None
