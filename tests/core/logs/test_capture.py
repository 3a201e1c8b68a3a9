from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from neurolink_mitm.core.logs.capture import (
    LIMIT,
    Body,
    Captured,
    Phase,
    debug_row,
    document,
    read_document,
    unpacked,
)
from neurolink_mitm.core.request.headers import Fields
from tests.fakes import NOW

JSON = ((b"content-type", b"application/json"),)


def stored(content: bytes, fields: Fields = JSON, size: int | None = None) -> dict[str, Any]:
    found = json.loads(document(Body(content, size or len(content)), fields))
    assert isinstance(found, dict)
    return found


def test_json_is_stored_as_such() -> None:
    assert stored(b'{"a": [1]}') == {
        "encoding": "json",
        "bytes": 10,
        "truncated": False,
        "contentType": "application/json",
        "body": {"a": [1]},
    }


def test_spaces_and_order_of_json_stay() -> None:
    body = b'{"b" : 1,\n "a":2.0}'
    assert body in document(Body(body, len(body)), JSON)


@pytest.mark.parametrize("content", [b"half {", b"", b"\xff\xfe", b"{} {}"])
def test_what_is_no_json_is_stored_as_text(content: bytes) -> None:
    found = stored(content)
    assert found["encoding"] == "text"
    assert found["body"] == content.decode("utf-8", "backslashreplace")


def test_a_part_of_a_body_says_so() -> None:
    found = stored(b'{"a": "bc', size=12)
    assert (found["truncated"], found["bytes"]) == (True, 12)


def test_packed_bodies_are_looked_into() -> None:
    fields = (*JSON, (b"content-encoding", b"gzip"))
    assert stored(gzip.compress(b'{"api_key": "hunter2"}'), fields)["body"] == {"api_key": "***"}


@pytest.mark.parametrize(("size", "truncated"), [(LIMIT, False), (LIMIT + 1, True)])
def test_one_that_is_small_only_while_it_is_packed_is_cut_and_says_so(
    size: int, truncated: bool
) -> None:
    packed = gzip.compress(b"a" * size)
    found = stored(packed, ((b"content-encoding", b"gzip"),))
    assert (len(found["body"]), found["truncated"]) == (LIMIT, truncated)
    assert found["bytes"] == len(packed)


@pytest.mark.parametrize("coding", ["br", "gzip", "deflate", "zstd"])
def test_what_can_not_be_looked_into_is_left_out(coding: str) -> None:
    found = stored(b"hunter2", ((b"content-encoding", coding.encode()),))
    assert (found["encoding"], found["body"]) == ("omitted", None)


def test_deflate() -> None:
    assert unpacked(zlib.compress(b"abc"), "deflate") == b"abc"


def test_what_is_stored_can_be_read() -> None:
    found = read_document(document(Body(b"[1]", 3), JSON))
    assert (found.encoding, bytes(found.body)) == ("json", b"[1]")


@pytest.mark.parametrize("data", [b"", b"[]", b'{"body": 1}', b"\xff"])
def test_what_is_none_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_document(data)


def test_a_row_shows_no_secret() -> None:
    row = debug_row(
        Captured(
            "req_1", NOW, Phase.UPSTREAM_REQUEST, ((b"authorization", b"Bearer hunter2"),), None,
            url="http://me:hunter2@h/x?key=hunter2&b=\udcff", seconds=1.23456,
        )
    )  # fmt: skip
    assert row.headers == [("authorization", "***")]
    assert row.url == "http://***@h/x?key=***&b=\\udcff"
    assert (row.durationMs, row.bodyPath, row.bodyBytes) == (1234.6, None, 0)
