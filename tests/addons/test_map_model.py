from __future__ import annotations

import pytest
from mitmproxy import http

from neurolink_mitm.addons.map_model import ModelMapping
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.providers.destinations import Route
from neurolink_mitm.core.request.body import BodyIndex
from tests.addons.flows import answer, make_flow, refusal
from tests.fakes import make_account, make_attempt, make_other, make_runtime

BODY = b'{ "x": [1.50],\n"model" : "b\\u0065st", "messages": [{"model": "best"}]}'


def a_flow(
    body: bytes = BODY, account: Account | None = None, wanted: str = "claude-y"
) -> http.HTTPFlow:
    attempts = [make_attempt(account or make_account())]
    route = Route("mapping", wanted)
    return make_flow(body=body, model="best", route=route, attempts=attempts, index=BodyIndex(body))


async def attempt(flow: http.HTTPFlow) -> bytes | None:
    if waits := ModelMapping(make_runtime()).attempt(flow):
        await waits
    return flow.request.raw_content


async def test_only_the_name_changes() -> None:
    flow = a_flow()
    expected = BODY.replace(b'"b\\u0065st"', b'"claude-y"')
    assert await attempt(flow) == expected
    assert flow.request.headers["content-length"] == str(len(expected))


async def test_who_is_asked_for_the_same_gets_the_same_bytes() -> None:
    assert await attempt(a_flow(wanted="best")) == BODY


async def test_another_provider_is_told_elsewhere() -> None:
    assert await attempt(a_flow(account=make_other())) == BODY


@pytest.mark.parametrize("body", [b"", b'{"messages": []}'], ids=["empty", "no-model"])
async def test_a_body_without_a_name_stays_as_it_is(body: bytes) -> None:
    assert await attempt(a_flow(body)) == body


async def test_a_name_with_an_escape_is_not_taken_for_another_models() -> None:
    body = b'{"mod\\u0065l":"best","messages":[{"model":"best"}],"x":"%s"}' % (b" " * 600_000)
    assert await attempt(a_flow(body)) == body.replace(b'"best"', b'"claude-y"', 1)


async def test_a_request_that_names_two_models_is_not_sent() -> None:
    """Readers differ on which one counts: it would go out for a model that the mapping is to replace."""
    flow = a_flow(b'{"model":"best","messages":[],"model":"best"}')
    await attempt(flow)
    assert refusal(flow) == (400, "invalid_request_error")


async def test_what_was_answered_is_left_alone() -> None:
    flow = a_flow()
    answer(flow)
    assert await attempt(flow) == BODY


async def test_a_request_without_a_route_is_left_alone() -> None:
    flow = make_flow(body=BODY, attempts=[make_attempt(make_account())])
    assert await attempt(flow) == BODY
