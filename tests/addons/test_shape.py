from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from neurolink_mitm.addons.shape import REPLACED, SHAPED, Shape
from neurolink_mitm.addons.translate import Translate
from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.response.reader import OpaqueReader
from neurolink_mitm.core.settings import shaping
from neurolink_mitm.core.settings.shaping import Cloaking, Plugins
from neurolink_mitm.core.shaping.outgoing import OutgoingRequest, RefusedError
from neurolink_mitm.core.shaping.pipeline import Pipeline
from neurolink_mitm.dataplane.hooks import AttemptHook, flow_state, mask_credentials
from neurolink_mitm.ports import Runtime
from tests.addons.flows import answer, current, make_flow, record
from tests.fakes import FakeTranslator, make_account, make_attempt, make_other, make_runtime

LOGIN = make_account("o", token="sk-ant-oat-test-o")
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "bluebird"}]}).encode()
HEADERS = {"via": "1.1 a", "x-api-key": "sk-ant-test-caller", "user-agent": "claude-cli/2"}
HIDING = Plugins(word_obfuscator=shaping.WordObfuscator(True, ("bluebird",)))


def runtime(mode: Any = "auto", *custom: Any) -> Runtime:
    shaping = Pipeline.of(Cloaking(mode, HIDING), b"key", custom)
    return make_runtime(shaping=shaping, translator=FakeTranslator())


def a_flow(account: Any = LOGIN, **exchange: Any) -> http.HTTPFlow:
    known = {"user_agent": HEADERS["user-agent"], "attempts": [make_attempt(account)], **exchange}
    return make_flow(headers=HEADERS, body=BODY, **known)


def test_the_request_is_another_one_and_its_length_is_right() -> None:
    flow = a_flow()
    Shape(runtime()).attempt(flow)
    content = flow.request.raw_content or b""
    assert b"bluebird" not in content
    assert flow.request.headers["content-length"] == str(len(content))
    assert "via" not in flow.request.headers
    assert flow.response is None
    assert flow.metadata[REPLACED] == {"word": 1}
    assert record(flow).attempts[-1].replaced == 1


def test_another_providers_model_does_not_see_it_either() -> None:
    flow = a_flow(make_other())
    made = runtime("always")
    Shape(made).attempt(flow)
    Translate(made).attempt(flow)
    content = flow.request.raw_content or b""
    assert b"bluebird" not in content
    assert flow.request.headers["content-length"] == str(len(content))
    assert current(flow).ready


@pytest.mark.parametrize(
    ("mode", "flow"),
    [
        ("never", a_flow()),
        ("auto", a_flow(make_account())),
        ("auto", a_flow(make_other())),
        ("always", a_flow(kind=Kind.FORWARD)),
        ("always", a_flow(None)),
        ("always", make_flow(headers=HEADERS, body=BODY)),
        ("always", make_flow(headers=HEADERS, body=BODY, opened=False)),
    ],
    ids=["never", "key", "provider", "forwarded", "no-account", "no-attempt", "no-record"],
)
def test_what_is_let_alone(mode: str, flow: http.HTTPFlow) -> None:
    before = flow.request.copy()
    Shape(runtime(mode)).attempt(flow)
    assert flow.request.get_state() == before.get_state()


def test_what_has_its_answer_is_let_alone() -> None:
    flow = a_flow()
    answer(flow, 429)
    Shape(runtime()).attempt(flow)
    assert flow.request.raw_content == BODY
    assert flow.response is not None
    assert flow.response.status_code == 429


class Plugin:
    def __init__(self, do: Callable[[OutgoingRequest], OutgoingRequest]) -> None:
        self.rewrite = do


def failing(error: BaseException) -> tuple[str, Plugin]:
    def fail(draft: OutgoingRequest) -> OutgoingRequest:
        raise error

    return "mine", Plugin(fail)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RuntimeError("bluebird"), 500, "the plugin mine failed (RuntimeError)"),
        (RefusedError("the reason"), 400, "the reason"),
        (KeyboardInterrupt(), 500, "was not finished"),
    ],
    ids=["fails", "refuses", "worse"],
)
def test_what_can_not_be_shaped_is_answered_here(
    error: BaseException, status: int, text: str
) -> None:
    flow = a_flow()
    with suppress(KeyboardInterrupt):
        Shape(runtime("auto", failing(error))).attempt(flow)
    assert flow.response is not None
    assert flow.response.status_code == status
    said = flow.response.json()["error"]["message"]
    assert text in said
    assert "bluebird" not in said


async def test_an_account_that_can_not_be_used_sends_nothing() -> None:
    flow = a_flow(replace(LOGIN, base_url="ftp://x"))
    with taddons.context(Shape(runtime())) as context:
        await context.master.addons.trigger_event(AttemptHook(flow))
    assert flow.response is not None
    assert flow.response.status_code == 500


def test_plugins_see_no_credential() -> None:
    seen: list[OutgoingRequest] = []

    def look(draft: OutgoingRequest) -> OutgoingRequest:
        seen.append(draft)
        return draft

    flow = a_flow()
    mask_credentials(flow)
    Shape(runtime("auto", ("mine", Plugin(look)))).attempt(flow)
    assert b"x-api-key" not in dict(seen[0].fields)
    assert "sk-ant" not in repr(seen[0])


def answered(flow: http.HTTPFlow, shape: Shape, *, stream: bool, **headers: str) -> http.Response:
    """Upstream answers with the body it was sent."""
    body = flow.request.raw_content or b""
    flow.response = http.Response.make(
        200, b"" if stream else body, {k.replace("_", "-"): v for k, v in headers.items()}
    )
    flow.response.stream = stream
    shape.responseheaders(flow)
    return flow.response


def test_the_answer_of_upstream_is_changed_as_it_comes() -> None:
    flow, shape = a_flow(), Shape(runtime())
    shape.attempt(flow)
    response = answered(flow, shape, stream=True, content_type="application/json")
    assert callable(response.stream)
    sent = flow.request.raw_content or b""
    assert (response.stream(sent), response.stream(b"")) == (b"", BODY)


def test_one_of_our_own_may_quote_it() -> None:
    flow, shape = a_flow(), Shape(runtime())
    shape.attempt(flow)
    response = answered(flow, shape, stream=False)
    assert response.content == BODY
    assert response.headers["content-length"] == str(len(BODY))


def test_an_answer_that_is_compressed_is_let_alone() -> None:
    flow, shape = a_flow(), Shape(runtime())
    shape.attempt(flow)
    assert answered(flow, shape, stream=True, content_encoding="gzip").stream is True


def test_so_is_that_of_an_attempt_that_was_not_shaped() -> None:
    flow, shape = a_flow(), Shape(runtime())
    shape.attempt(flow)
    record(flow).attempts.append(make_attempt(make_account(), number=2))
    assert answered(flow, shape, stream=True).stream is True


def test_nothing_of_it_stays_with_the_flow() -> None:
    flow, shape = a_flow(), Shape(runtime())
    shape.attempt(flow)
    assert SHAPED in flow_state(flow)
    shape.response(flow)
    assert "bluebird" not in repr(flow.metadata)
    assert SHAPED not in flow_state(flow)


class Unable:
    def feed(self, chunk: bytes) -> bytes:
        raise ValueError("bluebird")

    def end(self) -> bytes:
        return b""


@pytest.mark.parametrize(("complete", "cut"), [(False, True), (True, False)])
def test_a_body_that_fails_under_way_is_cut(complete: bool, cut: bool) -> None:
    """Where its head is with the client, only the connection's end can say that it is no good."""
    flow = a_flow()
    flow_state(flow)[SHAPED] = ((lambda stream: Unable(),), 1)
    response = answer(flow)
    response.stream = True
    current(flow).reader = reader = OpaqueReader(complete=complete)
    Shape(runtime()).responseheaders(flow)
    assert callable(response.stream)
    said = response.stream(b"{")
    assert (said == b"") is cut
    assert bool(reader.failure) is cut
