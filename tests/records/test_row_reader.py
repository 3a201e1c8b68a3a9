from __future__ import annotations

import msgspec
import pytest

from neurolink_mitm.records.row_reader import LoggedRequest, RequestFilter, RowReader, TimeRange
from tests.fakes import NOW


def seen(**fields: object) -> LoggedRequest:
    return LoggedRequest(
        **{"timestamp": "2025-10-09T08:53:20.000Z", "outcome": "complete", **fields}
    )  # type: ignore[arg-type]


def test_torn_lines_are_left_out_and_counted() -> None:
    reader = RowReader()
    lines = [
        b'{"timestamp":"a"}\n',
        b'{"timestamp":"b',
        b"\n",
        b"[]",
        b"\xff\n",
        b'{"timestamp":"c"}',
    ]
    assert [row.timestamp for row in reader.read(lines, LoggedRequest)] == ["a", "c"]
    assert reader.bad == 3


def test_rows_of_other_versions_are_read() -> None:
    """Without what was not there yet, and with what is not known here."""
    [row] = RowReader().read([b'{"timestamp":"a","unheard":1}'], LoggedRequest)
    assert (row.costUsd, row.account, row.attempts) == (None, None, 0)


def row_of(**fields: object) -> bytes:
    return msgspec.json.encode(
        {"timestamp": "2025-10-09T08:53:20.000Z", "requestId": "r", **fields}
    )


@pytest.mark.parametrize(
    ("family", "line"),
    [
        ("proxy", row_of(timestamp="yesterday")),
        ("proxy", row_of(ttfbMs="soon")),
        ("proxy", b'{"timestamp":"2025-10-09T08:53:20.000Z"}'),
        ("proxy-attempts", row_of(attempt="first")),
        ("proxy-attempts", row_of(utilization5h={})),
        ("proxy-attempts", row_of(connectMs="soon")),
        ("proxy-attempts", row_of(reused="yes")),
        ("proxy-attempts", row_of().replace(b"}", b',"waitMs":NaN}')),
        ("proxy-attempts", row_of().replace(b"}", b',"tlsMs":1e999}')),
        ("proxy-debug", row_of()),
        ("proxy-debug", row_of(phase="client_request", headers=[["a"]])),
    ],
    ids=[
        "time",
        "number",
        "no request",
        "attempt",
        "share",
        "a word as time",
        "a word as truth",
        "not a number",
        "too large",
        "no phase",
        "headers",
    ],
)
def test_a_row_with_values_of_other_types_is_none(family: str, line: bytes) -> None:
    reader = RowReader()
    assert list(reader.read_all(family, [line])) == []
    assert reader.bad == 1


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (RequestFilter(), True),
        (RequestFilter(account="work"), True),
        (RequestFilter(account="home"), False),
        (RequestFilter(status="429"), True),
        (RequestFilter(status="4XX"), True),
        (RequestFilter(status="5xx"), False),
        (RequestFilter(status="error"), True),
        (RequestFilter(status="complete"), False),
        (RequestFilter(session="8f1c"), True),
        (RequestFilter(session="9"), False),
        (RequestFilter("work", "4xx", "8f1c6f9e"), True),
        (RequestFilter("work", "4xx", "9"), False),
        (RequestFilter(client="bob"), True),
        (RequestFilter(client="bo"), False),
        (RequestFilter(replica="eu-1"), True),
        (RequestFilter(replica="eu"), False),
        (RequestFilter(agent="a1"), True),
        (RequestFilter(agent="p"), True),
        (RequestFilter(agent="x"), False),
        (RequestFilter(user="bü", conversation="c"), True),
        (RequestFilter(user="c"), False),
    ],
)
def test_filters(wanted: RequestFilter, fits: bool) -> None:
    row = seen(
        account="work", responseStatus=429, outcome="error", sessionId="8f1c6f9e-1", client="bob", replica="eu-1",
        agentId="a1", parentAgentId="p1", userId="bü", conversationId="c1",
    )  # fmt: skip
    assert wanted(row) is fits
    if fits:
        assert all(
            any(each in msgspec.json.encode(row) for each in needle) for needle in wanted.needles()
        )


def test_who_left_before_an_answer_has_no_status() -> None:
    assert not RequestFilter(status="4xx")(seen(outcome="client_cancelled"))


def test_spans() -> None:
    span = TimeRange.of(NOW, NOW + 60)
    assert "2025-10-09T08:53:20.000Z" in span
    assert "2025-10-09T08:53:19.999Z" not in span
    assert "2025-10-09T08:54:20.000Z" not in span
    assert "2025-10-09T08:53:20.000Z" in TimeRange()


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [("complete", False), ("client_cancelled", False), ("error", True), ("truncated", True)],
)
def test_what_counts_as_an_error(outcome: str, failed: bool) -> None:
    assert seen(outcome=outcome).failed is failed
