"""The fuzzer finds what it is made to find: a run without findings says something only then."""

from __future__ import annotations

import re

import pytest

from tools.fuzz import live, pure
from tools.fuzz.verdict import Diagnostic, within_time


def quadratic(text: str) -> None:
    re.search("(a+)b", text)


def test_what_takes_long_is_a_finding() -> None:
    with pytest.raises(Diagnostic, match="8000 bytes take"):
        within_time(lambda: quadratic("a" * 8_000), 8_000)


@pytest.mark.parametrize(
    ("target", "stays"),
    [
        ("/pool/v1/messages?beta=true&x=/../..", True),
        ("/pool/v1/files/%41", True),
        ("/pool/v1/../x", False),
        ("/pool/v1/%2e%2e/x", False),
        ("/pool/v1/%252e%252e/x", False),
        ("/pool/v1/..%5cx", False),
        ("/pool/v1/..;a=b/x", False),
        ("/pool/api/oauth/profile", False),
        ("//pool/v1/messages", True),
    ],
)
def test_where_a_server_may_take_a_path(target: str, stays: bool) -> None:
    assert live.stays_under(target, "/pool/v1/") is stays


@pytest.mark.parametrize(
    ("answer", "readable"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nretry-after: 1\rx\r\n\r\n", False),
        (b"<html>", False),
    ],
    ids=["length", "chunks", "negative length", "bare CR", "no HTTP"],
)
def test_an_answer_has_to_be_readable(answer: bytes, readable: bool) -> None:
    try:
        live.check_readable(answer, whole=True)
    except Diagnostic:
        assert not readable
    else:
        assert readable


@pytest.mark.parametrize("target", pure.TARGETS, ids=lambda target: target.name)
def test_examples_of_each_kind_are_read(target: pure.Target) -> None:
    """The plain ones; the fuzzer changes them."""
    target.run(target.plain)
