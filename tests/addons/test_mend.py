from __future__ import annotations

import json

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from neurolink_mitm.addons.mend import Mend
from neurolink_mitm.core.exchange import Pause, Reply, Step, Try
from neurolink_mitm.mitm.hooks import AttemptHook
from tests.addons.flows import answer, make_flow
from tests.fakes import make_account, make_runtime

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
TEXT = {"type": "text", "text": "hi"}
BODY = json.dumps(
    {"model": "m", "messages": [{"role": "assistant", "content": [THOUGHT, TEXT]}], "thinking": {}}
).encode()
MENDED = (
    b'{"model":"m","messages":[{"role":"assistant","content":[{"type": "text", "text": "hi"}]}]}'
)
ONCE_MORE = Try(make_account(), "once more", mended=True)
AS_IT_IS = Try(make_account(), "as it is")


def attempt(flow: http.HTTPFlow) -> bytes | None:
    """The body that goes upstream."""
    Mend(make_runtime()).attempt(flow)
    return flow.request.raw_content


def test_what_upstream_refused_is_taken_out() -> None:
    flow = make_flow(body=BODY, step=ONCE_MORE)
    assert attempt(flow) == MENDED
    assert flow.request.headers["content-length"] == str(len(MENDED))


@pytest.mark.parametrize(
    "step", [None, AS_IT_IS, Pause(1.0), Reply(429, "rate_limit_error", "x")],
    ids=["first", "not-asked-for", "pause", "reply"],
)  # fmt: skip
def test_else_the_body_is_the_clients(step: Step | None) -> None:
    assert attempt(make_flow(body=BODY, step=step)) == BODY


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"{}", b'{"requests": []}', b'{ "model": "m", "messages": [] }',
     b'{"messages": ' + b"[" * 200_000],
    ids=["empty", "text", "nothing", "batch", "no-thinking", "deep"],
)  # fmt: skip
def test_a_body_without_thinking_stays_as_it_is(body: bytes) -> None:
    assert attempt(make_flow(body=body, step=ONCE_MORE)) == body


def test_a_flow_that_has_its_answer_is_left_alone() -> None:
    flow = make_flow(body=BODY, step=ONCE_MORE)
    answer(flow)
    assert attempt(flow) == BODY


async def test_the_hook_is_heard() -> None:
    flow = make_flow(body=BODY, step=ONCE_MORE)
    with taddons.context(Mend(make_runtime())) as context:
        await context.master.addons.trigger_event(AttemptHook(flow))
    assert flow.request.raw_content == MENDED


def test_a_flow_that_nobody_has_taken_up_is_left_alone() -> None:
    assert attempt(make_flow(body=BODY, opened=False)) == BODY
