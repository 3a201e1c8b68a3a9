from __future__ import annotations

from typing import Any

import msgspec
import pytest

from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs.capture import Document
from neurolink_mitm.core.logs.rows import attempt_row, request_row
from neurolink_mitm.records import format as log_format
from neurolink_mitm.records.row_reader import LoggedRequest
from tests.fakes import NOW, make_account, make_attempt, make_exchange

FAILED = make_attempt(
    make_account("home"), status=429, failure=Failure.of_status(429, b""), ended_at=NOW + 0.25,
    cooldown=3.0, retry_after=3.0, connect_seconds=0.06, tls_seconds=0.1, wait_seconds=0.08,
)  # fmt: skip
SERVED = make_attempt(make_account("work"), number=2, status=200, sent_at=NOW + 0.3,
                      ended_at=NOW + 2, utilization_5h=0.42, wait_seconds=0.2, reused=True)  # fmt: skip
EXCHANGE = make_exchange(
    path="/v1/messages", model="claude-x", stream=True, tool_count=3, attempts=[FAILED, SERVED],
    why="took work", status=200, first_byte_at=NOW + 0.5, ended_at=NOW + 2,
)  # fmt: skip


def plain(row: Any) -> dict[str, Any]:
    return dict(msgspec.to_builtins(row))


def test_a_timeline() -> None:
    rows = [plain(attempt_row(EXCHANGE, attempt)) for attempt in EXCHANGE.attempts]
    text = "\n".join(log_format.timeline(plain(request_row(EXCHANGE)), rows))
    assert text == (
        "req_1  2025-10-09 08:53:20 UTC  POST /v1/messages\n"
        "     model  claude-x, stream, 3 tools\n"
        "   because  took work\n"
        "     +0 ms  attempt 1: home (api_key), 429, after 250 ms, asked to wait 3 s, cools for 3.00 s\n"
        "            ░░▒▒▒···█\n"
        "            connect 60 ms, TLS 100 ms, wait 80 ms, rest 10 ms\n"
        "   +300 ms  attempt 2: work (api_key), 200, after 1.70 s, 5h 42%\n"
        "                      ·······███████████████████████████████████████████████████\n"
        "            reused connection, wait 200 ms, rest 1.50 s\n"
        "   +500 ms  first byte to the client\n"
        "   +2.00 s  200 error\n"
        "            ░ connect  ▒ TLS  · wait  █ rest"
    )


def test_a_request_without_its_row() -> None:
    text = list(log_format.timeline(None, [plain(attempt_row(EXCHANGE, FAILED))]))
    assert text[0] == "req_1  not finished, or its row is lost"
    assert "attempt 1: home" in text[1]


def test_rows_of_older_versions_can_be_told() -> None:
    old = {"timestamp": "2025-10-09T08:53:20.000Z", "requestId": "req_1"}
    assert len(list(log_format.timeline(old, [old]))) == 4


def test_a_line() -> None:
    row = LoggedRequest("2025-10-09T08:53:20.000Z", "req_1", "complete", 2, "work", "claude-x",
               responseStatus=200, responseTimeMs=1234.0, inputTokens=3, outputTokens=4,
               cacheReadTokens=9, costUsd=0.5)  # fmt: skip
    assert log_format.line(row) == (
        "08:53:20 UTC  200  complete    1.23 s  work          claude-x"
        "  3 (+9 cached) in, 4 out  $0.5000  2 attempts  req_1"
    )
    other = msgspec.structs.replace(row, api="openai-chat")
    assert log_format.line(other).endswith("  $0.5000  openai-chat  2 attempts  req_1")


ROW = LoggedRequest("2025-10-09T08:53:20.000Z", "req_nl_1b16c7cb51e8ce1a8e42", "complete", 2, "ada@example.com",
           "claude-haiku-4-5-20251001", responseStatus=200, responseTimeMs=1234.0, inputTokens=123456,
           outputTokens=432, cacheReadTokens=99999, costUsd=0.5)  # fmt: skip


@pytest.mark.parametrize(
    ("room", "line"),
    [
        (60, "08:53:20 UTC  200        ada@e…  req_nl_1b16c7cb51e8ce1a8e42"),
        (79, "08:53:20 UTC  200        ada@exam…  haiku-4-5…  ×2  req_nl_1b16c7cb51e8ce1a8e42"),
        (80, "08:53:20 UTC  200        ada@exam…  haiku-4-5-…  ×2  req_nl_1b16c7cb51e8ce1a8e42"),
        (
            145,
            "08:53:20 UTC  200         1.23 s  ada@example.com           haiku-4-5-20251001        ×2"
            "  123k in 432 out   $0.5000   req_nl_1b16c7cb51e8ce1a8e42",
        ),
    ],
)
def test_a_line_fits_its_room(room: int, line: str) -> None:
    assert log_format.line(ROW, room) == line


def test_a_line_is_no_wider_than_its_room_and_names_the_request() -> None:
    for room in range(60, 260):
        line = log_format.line(ROW, room)
        assert len(line) <= room
        assert line.endswith(ROW.requestId)


@pytest.mark.parametrize(
    ("outcome", "status", "result"),
    [
        ("complete", 200, "200"),
        ("error", 429, "429"),
        ("truncated", 200, "truncated"),
        ("client_cancelled", 200, "cancelled"),
        ("error", None, "error"),
    ],
)
def test_how_it_ended_is_told_in_little_room(outcome: str, status: int, result: str) -> None:
    row = msgspec.structs.replace(ROW, outcome=outcome, responseStatus=status)
    assert log_format.line(row, 80).split()[2] == result


@pytest.mark.parametrize("odd", ["\x1b[2J", "\x07", "\x9b2J", "\x7f", "\u202e", "\r"])
def test_nothing_reaches_the_terminal_but_text(odd: str) -> None:
    assert odd not in log_format.escape_controls(f"a{odd}b\n\tc")
    assert log_format.escape_controls("ä\n\t“x”") == "ä\n\t“x”"


@pytest.mark.parametrize("forged", ["x\n08:53:21  200  complete", "x\ty", "x\u2028y", "x\x1b[1Ay"])
def test_a_row_is_one_line_whatever_a_model_is_called(forged: str) -> None:
    row = LoggedRequest(
        "2025-10-09T08:53:20.000Z", "req_1", "error", 0, model=forged, responseStatus=404
    )
    assert log_format.line(row).isprintable()
    assert log_format.line(row, 80).isprintable()
    assert forged.encode("unicode_escape").decode() in log_format.line(row)


def stored(encoding: str, raw: bytes, *, truncated: bool = False) -> Document:
    body = msgspec.Raw(raw)
    return Document(encoding=encoding, bytes=99, truncated=truncated, contentType=None, body=body)


@pytest.mark.parametrize(
    ("encoding", "raw", "text"),
    [
        ("json", b'{"a":1}', '{\n  "a": 1\n}'),
        ("text", b'"event: x\\n"', "event: x\n"),
        ("omitted", b"null", "(left out: it can't be looked into for secrets)"),
    ],
)
def test_bodies(encoding: str, raw: bytes, text: str) -> None:
    assert list(log_format.body(stored(encoding, raw))) == [text]


def test_a_part_of_a_body() -> None:
    assert (
        list(log_format.body(stored("text", b'"a"', truncated=True)))[1]
        == "(only a part of its 99 bytes was kept)"
    )
