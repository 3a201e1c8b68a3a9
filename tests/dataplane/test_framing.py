from __future__ import annotations

import pytest
from mitmproxy import http

from neurolink_mitm.dataplane.framing import client_head, reframe
from tests.fakes import NOW


def request(version: bytes = b"HTTP/1.1") -> http.Request:
    made = http.Request.make("POST", "http://upstream.example/v1/messages")
    made.data.http_version = version
    return made


def head(**fields: str) -> http.Response:
    made = http.Response.make(
        200, b"", {name.replace("_", "-"): text for name, text in fields.items()}
    )
    made.headers.pop("content-length", None)
    made.headers.update({name.replace("_", "-"): text for name, text in fields.items()})
    return made


@pytest.mark.parametrize(
    ("version", "fields", "framing"),
    [
        (b"HTTP/1.1", {"content_length": "3"}, {"content-length": "3"}),
        (b"HTTP/1.1", {}, {"transfer-encoding": "chunked"}),
        (b"HTTP/1.0", {"content_length": "3"}, {"content-length": "3", "connection": "close"}),
        (b"HTTP/1.0", {"transfer_encoding": "chunked"}, {"connection": "close"}),
    ],
    ids=["length", "neither", "old-client", "old-client-and-chunks"],
)
def test_a_body_ends_as_the_client_can_read(
    version: bytes, fields: dict[str, str], framing: dict[str, str]
) -> None:
    sent = client_head(head(**fields), request(version), None).headers
    names = ("content-length", "transfer-encoding", "connection")
    assert {name: sent[name] for name in names if name in sent} == framing


def test_the_original_head_stays_as_it_came() -> None:
    original = head()
    client_head(original, request(), None).headers["x-added"] = "1"
    assert [*original.headers] == []


@pytest.mark.parametrize(("now", "sent"), [(NOW, "1"), (None, "0")], ids=["error", "success"])
def test_retry_after_of_an_error_is_at_least_a_second(now: float | None, sent: str) -> None:
    assert client_head(head(retry_after="0"), request(), now).headers["retry-after"] == sent


@pytest.mark.parametrize(
    ("length", "version", "framing"),
    [
        (7, b"HTTP/1.1", {"content-length": "7"}),
        (None, b"HTTP/1.1", {"transfer-encoding": "chunked"}),
        (None, b"HTTP/1.0", {"connection": "close"}),
    ],
    ids=["known", "unknown", "unknown-and-old-client"],
)
def test_a_changed_body_is_framed_anew(
    length: int | None, version: bytes, framing: dict[str, str]
) -> None:
    response = head(content_length="3")
    reframe(response, length, request(version))
    assert dict(response.headers) == framing
