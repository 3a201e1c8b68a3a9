from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from neurolink_mitm.sandbox.recorder import Received
from soak.records import Records
from soak.upstream import Ledger, usage_in


@pytest.mark.parametrize(
    "data",
    [
        b'event: message_start\ndata: {"message":{"usage":{"input_tokens":1}}}\n\n',
        b'event: message_delta\ndata: {"usage":{"input_tokens":1}}\n\n',
        b'{"type":"message","usage":{"input_tokens":1}}',
    ],
    ids=["start", "end", "whole"],
)
def test_what_an_answer_tells(data: bytes) -> None:
    assert usage_in(data) == {"input_tokens": 1}


def test_most_of_a_stream_tells_nothing() -> None:
    assert usage_in(b'event: ping\ndata: {"type":"ping"}\n\n') is None
    assert usage_in(b'{"type":"error","error":{}}') is None


def test_a_part_of_an_answer_is_told_from_a_whole_one() -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        usage_in(b'{"type":"message","usa')


def received(ledger: Ledger, *headers: tuple[str, str]) -> Received:
    request = Received("POST", "/v1/messages", list(headers), 0.0, "req_1")
    ledger.received(request)
    return request


@pytest.fixture
def records(tmp_path: Path) -> Records:
    found = Records(tmp_path / "upstream")
    found.touch()
    return found


@pytest.fixture
def ledger(records: Records) -> Iterator[Ledger]:
    with closing(Ledger(records, "sk-ant-api-soak-a")) as found:
        yield found


def test_the_ledger_has_a_line_a_step(records: Records, ledger: Ledger) -> None:
    request = received(ledger, ("x-api-key", "sk-ant-api-soak-a"))
    request.body = b'{"model":"claude-soak-17"}'
    ledger.admitted(request, "a")
    ledger.head_sent(request, 200)
    assert records.ledger.read_text() == "req_1 0\nreq_1 17\nreq_1 head\n"
    assert records.strays.read_text() == ""


@pytest.mark.parametrize(
    ("header", "stray"),
    [
        (("x-api-key", "sk-ant-api-soak-b"), "b"),
        (("authorization", "Bearer sk-ant-oat-soak-c"), "c"),
        (("accept", "*/*"), "none"),
    ],
    ids=["key", "token", "none"],
)
def test_another_accounts_credential_is_a_stray(
    records: Records, ledger: Ledger, header: tuple[str, str], stray: str
) -> None:
    received(ledger, header)
    assert records.strays.read_text() == f"{stray}\n"
