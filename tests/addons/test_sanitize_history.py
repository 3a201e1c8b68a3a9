from __future__ import annotations

import json
from typing import Any

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from neurolink_mitm.addons.sanitize_history import SESSIONS, HistorySanitizer
from neurolink_mitm.core.exchange import Pause, Reply, Step, Try
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.dataplane.hooks import AttemptHook
from tests.addons.flows import answer, make_flow, record
from tests.fakes import make_account, make_attempt, make_runtime

THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
TEXT = {"type": "text", "text": "hi"}
BODY = json.dumps(
    {"model": "m", "messages": [{"role": "assistant", "content": [THOUGHT, TEXT]}], "thinking": {}}
).encode()
MENDED = (
    b'{"model": "m", "messages": [{"role": "assistant",'
    b' "content": [{"type": "text", "text": "hi"}]}]}'
)
UNSIGNED = BODY.replace(b"c2ln", b"")
REPAIRED = MENDED[:-1] + b', "thinking": {}}'
ONCE_MORE = Try(make_account(), "once more", without_thinking=True)
AS_IT_IS = Try(make_account(), "as it is")


def a_flow(body: bytes = BODY, account: Account | None = None, **exchange: Any) -> http.HTTPFlow:
    """A request that is about to go out on an account of Anthropic's."""
    attempts = [make_attempt(account or make_account())]
    return make_flow(
        body=body, attempts=attempts, session_id="s", index=BodyIndex(body), **exchange
    )


def attempt(flow: http.HTTPFlow, sanitizer: HistorySanitizer | None = None) -> bytes | None:
    """The body that goes upstream."""
    (sanitizer or HistorySanitizer(make_runtime())).attempt(flow)
    return flow.request.raw_content


def test_what_upstream_refused_is_taken_out() -> None:
    flow = a_flow(step=ONCE_MORE)
    assert attempt(flow) == MENDED
    assert flow.request.headers["content-length"] == str(len(MENDED))


@pytest.mark.parametrize(
    "step", [None, AS_IT_IS, Pause(1.0), Reply(429, "rate_limit_error", "x")],
    ids=["first", "not-asked-for", "pause", "reply"],
)  # fmt: skip
def test_else_the_body_is_the_clients(step: Step | None) -> None:
    assert attempt(a_flow(step=step)) == BODY


@pytest.mark.parametrize(
    "body",
    [b"", b"no json", b"{}", b'{"requests": []}', b'{ "model": "m", "messages": [] }',
     b'{"messages": ' + b"[" * 200_000],
    ids=["empty", "text", "nothing", "batch", "no-thinking", "deep"],
)  # fmt: skip
def test_a_body_without_thinking_stays_as_it_is(body: bytes) -> None:
    assert attempt(a_flow(body, step=ONCE_MORE)) == body


def test_a_flow_that_has_its_answer_is_left_alone() -> None:
    flow = a_flow(step=ONCE_MORE)
    answer(flow)
    assert attempt(flow) == BODY


async def test_the_hook_is_heard() -> None:
    flow = a_flow(step=ONCE_MORE)
    with taddons.context(HistorySanitizer(make_runtime())) as context:
        await context.master.addons.trigger_event(AttemptHook(flow))
    assert flow.request.raw_content == MENDED


def test_a_flow_that_nobody_has_taken_up_is_left_alone() -> None:
    assert attempt(make_flow(body=BODY, opened=False)) == BODY


# --- What another provider has left there


def test_thinking_that_anthropic_never_signed_goes_at_once() -> None:
    assert attempt(a_flow(UNSIGNED, step=AS_IT_IS)) == REPAIRED


def test_but_another_provider_gets_the_history_as_it_is() -> None:
    other = make_account("openai/x", type="provider", provider="openai")
    assert attempt(a_flow(UNSIGNED, other, step=AS_IT_IS)) == UNSIGNED


def served(flow: http.HTTPFlow, sanitizer: HistorySanitizer) -> None:
    """The attempt is answered well."""
    answer(flow)
    sanitizer.responseheaders(flow)


def test_what_was_refused_is_left_out_of_the_sessions_next_requests() -> None:
    sanitizer = HistorySanitizer(make_runtime())
    first = a_flow(step=ONCE_MORE)
    attempt(first, sanitizer)
    served(first, sanitizer)
    assert attempt(a_flow(step=AS_IT_IS), sanitizer) == REPAIRED


def test_but_not_where_it_was_refused_without_it_too() -> None:
    sanitizer = HistorySanitizer(make_runtime())
    attempt(a_flow(step=ONCE_MORE), sanitizer)
    assert attempt(a_flow(step=AS_IT_IS), sanitizer) == BODY


def test_nor_out_of_another_sessions() -> None:
    sanitizer = HistorySanitizer(make_runtime())
    first = a_flow(step=ONCE_MORE)
    attempt(first, sanitizer)
    served(first, sanitizer)
    other = a_flow(step=AS_IT_IS)
    record(other).session_id = "another"
    assert attempt(other, sanitizer) == BODY


def test_only_so_many_sessions_are_remembered() -> None:
    sanitizer = HistorySanitizer(make_runtime())
    for number in range(SESSIONS + 1):
        flow = a_flow(step=ONCE_MORE)
        record(flow).session_id = "s" if number == 0 else str(number)
        attempt(flow, sanitizer)
        served(flow, sanitizer)
    assert attempt(a_flow(step=AS_IT_IS), sanitizer) == BODY
