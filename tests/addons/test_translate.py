from __future__ import annotations

import json

import pytest
from mitmproxy import http
from mitmproxy.test import taddons

from neurolink_mitm.addons.translate import PATIENCE, Translate
from neurolink_mitm.core.failover.errors import Failure, FailureStage
from neurolink_mitm.core.failover.plan import TRANSLATOR_DOWN
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.dataplane.hooks import AttemptHook
from neurolink_mitm.ports import Endpoint
from tests.addons.flows import MESSAGE, answer, current, make_flow
from tests.fakes import FakeTranslator, make_account, make_attempt, make_other, make_runtime

CALLERS = {
    "x-api-key": "sk-ant-test-mine",
    "authorization": "Bearer sk-ant-oat-test-mine",
    "anthropic-beta": "oauth-2025-04-20",
    "cookie": "a=b",
    "user-agent": "claude-cli/2.1.0 (external, cli)",
    "x-claude-code-session-id": "s",
}
OTHER = make_other("openai", "gpt x/ü")


def a_flow(account: Account | None = OTHER, **exchange: object) -> http.HTTPFlow:
    attempts = [make_attempt(account)]
    path = "/v1/messages?beta=true"
    return make_flow(path=path, headers=CALLERS, **{"attempts": attempts, **exchange})


async def attempt(flow: http.HTTPFlow, translator: FakeTranslator | None = None) -> FakeTranslator:
    translator = translator or FakeTranslator()
    with taddons.context(Translate(make_runtime(translator=translator))) as context:
        await context.master.addons.trigger_event(AttemptHook(flow))
    return translator


async def test_the_translator_is_asked_with_nothing_of_the_callers_but_the_body() -> None:
    flow = a_flow()
    await attempt(flow)
    body = json.dumps(MESSAGE).encode()
    assert flow.request.headers.fields == (
        (b"host", b"127.0.0.1:4712"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"authorization", b"Bearer test-secret"),
        (b"x-neurolink-provider", b"openai"),
        (b"x-neurolink-model", b"gpt%20x/%C3%BC"),
    )
    assert flow.request.raw_content == body
    assert (flow.request.pretty_url, flow.request.scheme) == (
        "http://127.0.0.1:4712/v1/messages",
        "http",
    )
    assert current(flow).ready


async def test_it_is_reached_directly() -> None:
    flow = a_flow()
    await attempt(flow)
    assert current(flow).via is None


async def test_an_entry_for_any_model_asks_for_the_one_that_is_wanted() -> None:
    flow = a_flow(make_other("vertex", "x"), model="gemini-9")
    flow_any = a_flow(
        make_account("v", type="provider", provider="vertex", model=None), model="gemini-9"
    )
    for each in (flow, flow_any):
        await attempt(each)
    assert flow.request.headers["x-neurolink-model"] == "x"
    assert flow_any.request.headers["x-neurolink-model"] == "gemini-9"


async def test_one_that_has_only_begun_to_start_is_waited_for() -> None:
    flow = a_flow()
    starting = FakeTranslator(None, Endpoint(4713, "test-secret"))
    await attempt(flow, starting)
    assert starting.waited == [PATIENCE]
    assert flow.request.port == 4713


async def test_one_that_does_not_come_is_a_failure_that_was_not_sent() -> None:
    flow = a_flow()
    await attempt(flow, FakeTranslator(None))
    failure = current(flow).failure
    assert failure
    assert (failure.stage, failure.error_type, failure.sent) == (
        FailureStage.NETWORK,
        TRANSLATOR_DOWN,
        False,
    )
    assert not current(flow).ready


async def test_a_request_waits_once() -> None:
    waited = make_attempt(OTHER, failure=Failure.of_network(TRANSLATOR_DOWN, "down", sent=False))
    flow = a_flow(attempts=[waited], attempt=make_attempt(OTHER))
    assert (await attempt(flow, FakeTranslator(None))).waited == [0.0]


async def test_one_that_was_lost_is_not_asked_before_its_end_is_noticed() -> None:
    lost = make_attempt(OTHER, failure=Failure.of_network("connect_error", "refused", sent=False))
    flow = a_flow(attempts=[lost], attempt=make_attempt(OTHER))
    ended = FakeTranslator(after_waiting=Endpoint(4713, "test-secret"))
    await attempt(flow, ended)
    assert ended.settled == 1
    assert flow.request.port == 4713


async def test_another_entry_after_it_asks_at_once() -> None:
    lost = make_attempt(make_other("groq", "x"), failure=Failure.of_network("closed", "reset"))
    translator = await attempt(a_flow(attempts=[lost], attempt=make_attempt(OTHER)))
    assert (translator.settled, translator.waited) == (0, [])


async def test_where_there_is_no_translator_the_attempt_fails() -> None:
    flow = a_flow()
    waiting = Translate(make_runtime()).attempt(flow)
    assert waiting
    await waiting
    assert current(flow).failure


@pytest.mark.parametrize("account", [make_account(), None], ids=["anthropic's", "nobody's"])
async def test_other_requests_are_left_alone(account: Account | None) -> None:
    flow = a_flow(account)
    before = flow.request.get_state()
    translator = await attempt(flow)
    assert flow.request.get_state() == before
    assert translator.waited == []


async def test_what_was_answered_is_left_alone() -> None:
    flow = a_flow()
    answer(flow)
    await attempt(flow)
    assert flow.request.headers["x-api-key"] == "sk-ant-test-mine"
