from __future__ import annotations

import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils

from neurolink_mitm.dataplane.original_request import (
    replay_request,
    save_client_request,
    save_received_request,
    save_shown_request,
)

FIELDS = ((b"host", b"localhost:1"), (b"x-api-key", b"owner"))
CAME = http.Headers(host="127.0.0.1", authorization="***", te="x", user_agent="claude-cli/2")


def ended(*, known: bool = True) -> http.HTTPFlow:
    """A flow that shows its last attempt: at `/team` of the account, reworded."""
    attempt = http.Headers(host="up.example", x_api_key="***", user_agent="claude-cli/2")
    flow = tflow.tflow(
        req=tutils.treq(path=b"/team/v1/files?beta=true", headers=attempt, content=b"reworded")
    )
    if known:
        save_received_request(
            flow, tutils.treq(path=b"/v1/files", headers=CAME, content=b"as it came")
        )
        save_shown_request(flow)
    return flow


def again(flow: http.HTTPFlow) -> tuple[str, bytes | None]:
    request = replay_request(flow, FIELDS, "/team")
    assert request.headers["content-length"] == str(len(request.raw_content or b""))
    return request.path, request.raw_content


def test_it_is_what_the_client_sent() -> None:
    assert again(ended()) == ("/v1/files", b"as it came")


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b"reworded", ("/v1/chat/completions", b"chat")),
        (b"mine", ("/v1/messages", b"mine")),
    ],
    ids=["as it is", "edited"],
)
def test_of_a_translated_request_it_is_the_clients(
    content: bytes, asked: tuple[str, bytes]
) -> None:
    flow = tflow.tflow(req=tutils.treq(path=b"/v1/chat/completions", content=b"chat"))
    save_client_request(flow)  # nobody wants it
    save_received_request(flow, flow.request)
    save_client_request(flow)
    flow.request.path, flow.request.content = "/v1/messages", b"translated"
    flow.request = tutils.treq(path=b"/team/v1/messages?beta=true", content=b"reworded")
    save_shown_request(flow)
    flow.request.content = content
    assert again(flow) == asked


def test_no_credential_and_nothing_of_the_connection_is_left() -> None:
    request = replay_request(ended(), FIELDS, "/team")
    assert dict(request.headers) == {
        "host": "localhost:1", "user-agent": "claude-cli/2", "content-length": "10",
        "x-api-key": "owner",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "content", "asked"),
    [
        ("/team/v1/other", b"reworded", ("/v1/other", b"as it came")),
        ("/team/v1/files?beta=true", b"mine", ("/v1/files", b"mine")),
        ("/v1/other", b"reworded", ("/v1/other", b"as it came")),
    ],
    ids=["path", "body", "path-without-prefix"],
)
def test_what_somebody_has_changed_counts(
    path: str, content: bytes, asked: tuple[str, bytes]
) -> None:
    flow = ended()
    flow.request.path, flow.request.content = path, content
    assert again(flow) == asked


def test_of_a_loaded_flow_the_attempt_is_known() -> None:
    assert again(ended(known=False)) == ("/v1/files?beta=true", b"reworded")
