from __future__ import annotations

from typing import Any

import pytest

from soak.endings import MARK, SCRIPTED, UNASKED, EndingTransport, ending_in

LAST = b"0\r\n\r\n"


class Transport:
    """Keeps what is written, and whether it was closed."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def head(ending: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nrequest-id: x\r\n{MARK}: {ending}\r\n\r\n".encode()


def written(*writes: bytes) -> tuple[Transport, list[str]]:
    transport: Any = Transport()
    noted: list[str] = []
    spoiling = EndingTransport(transport, noted.append)
    for data in writes:
        spoiling.write(data)
    return transport, noted


@pytest.mark.parametrize("ending", SCRIPTED)
def test_a_response_names_its_ending(ending: str) -> None:
    assert ending_in(head(ending)) == ending
    assert ending_in(b"HTTP/1.1 200 OK\r\nrequest-id: x\r\n\r\n") == ""


def test_in_the_middle_of_a_head() -> None:
    transport, noted = written(head("in its head"), b"1\r\na\r\n", LAST)
    (half,) = transport.written
    assert half.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\n\r\n" not in half
    assert transport.closed
    assert noted == ["in its head"]


def test_more_than_was_asked_comes_with_the_last_chunk() -> None:
    first = head("more than asked")
    transport, noted = written(first, b"1\r\na\r\n", LAST)
    assert transport.written == [first, b"1\r\na\r\n", LAST + UNASKED]
    assert noted == ["more than asked"]


def test_the_next_response_is_another() -> None:
    plain = b"HTTP/1.1 200 OK\r\n\r\n"
    transport, noted = written(head("more than asked"), plain, LAST)
    assert transport.written[1:] == [plain, LAST]
    assert noted == []
