"""The process that reads a PDF."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from neurolink_mitm.core.providers.pdf import BROKEN, ENCRYPTED, TOO_LONG
from neurolink_mitm.translator.pdf_reader import CPU, HEADER, LONGEST, MEMORY, lines
from tests.pdfs import encoded, encrypted, pdf

LIMIT = 30.0


def told(data: bytes) -> list[object]:
    return list(lines(encoded(data).encode()))


def test_a_page_is_a_line() -> None:
    assert told(pdf("one", "", "three", title="A  title")) == [
        {"pages": 3, "title": "A title"}, "one", "", "three", {"why": ""}
    ]  # fmt: skip


def test_what_wants_a_password() -> None:
    assert told(encrypted()) == [{"why": ENCRYPTED}]


@pytest.mark.parametrize("data", [b"", b"x", b"%PDF-1.7"], ids=["nothing", "a letter", "a head"])
def test_what_is_no_pdf(data: bytes) -> None:
    assert told(data) == [{"why": BROKEN}]


def test_what_is_no_base64() -> None:
    assert list(lines(b"=?*\xff")) == [{"why": BROKEN}]


def test_it_ends_where_the_text_is_long_enough() -> None:
    assert told(pdf("a" * LONGEST, "b", "c"))[1:] == ["a" * LONGEST, {"why": TOO_LONG}]


def test_letters_that_no_provider_takes_are_no_text() -> None:
    (_, text, _) = told(pdf("a\x01\x02b"))
    assert isinstance(text, str)
    assert text.encode()
    assert not [each for each in text if ord(each) < 32]


@contextmanager
def reading(data: bytes) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-I", "-m", "neurolink_mitm.translator.pdf_reader"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        given = encoded(data).encode()
        process.stdin.write(len(given).to_bytes(HEADER, "big") + given)
        process.stdin.flush()
        yield process
        process.kill()


def test_it_is_limited() -> None:
    with reading(pdf("x")) as process:
        assert process.stdout
        assert process.stdout.readline(), "it has begun"
        if hasattr(resource, "prlimit"):
            assert resource.prlimit(process.pid, resource.RLIMIT_AS)[0] == MEMORY
            assert resource.prlimit(process.pid, resource.RLIMIT_CPU)[0] == CPU
        assert process.stdout.read()
        assert process.wait(LIMIT) == 0


def test_it_ends_with_who_has_started_it() -> None:
    """Its standard input ends while it waits for more of it, or for the end of a page."""
    with reading(b"") as process:
        assert process.stdin
        process.stdin.close()
        assert process.wait(LIMIT) is not None
