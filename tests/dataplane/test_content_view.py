"""The view, as mitmproxy itself calls it; its form differs between versions."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy import contentviews, ctx, http
from mitmproxy.options import Options

from neurolink_mitm.dataplane.content_view import RULE, add_view
from tests.addons.flows import answer, make_flow
from tests.fakes import make_account, make_attempt

SERVED = make_attempt(make_account("work"), status=200)


@pytest.fixture(autouse=True)
def options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a mitmproxy that runs: its views look into them."""
    monkeypatch.setattr(ctx, "options", Options(), raising=False)


def shown(message: Any, flow: http.HTTPFlow, view: str = "auto") -> str:
    """What mitmweb shows."""
    add_view()
    if hasattr(contentviews, "prettify_message"):
        return contentviews.prettify_message(message, flow, view).text
    _, lines, _ = contentviews.get_message_content_view(view, message, flow)
    return "\n".join("".join(text for _, text in line) for line in lines)


def a_flow(**changes: Any) -> http.HTTPFlow:
    flow = make_flow(**{"attempts": [SERVED], "why": "took it by fill-first"} | changes)
    answer(flow, body=b'{"content": "hi"}')
    return flow


def test_an_answer_is_shown_with_how_it_came_about() -> None:
    flow = a_flow()
    told, _, body = shown(flow.response, flow).partition(RULE)
    assert "attempt 1  work (api_key), 200" in told
    assert "reason     took it by fill-first" in told
    assert body.strip() == '{"content": "hi"}'


def test_the_request_is_shown_as_usual() -> None:
    flow = a_flow()
    assert "attempt 1" not in shown(flow.request, flow)
    assert "attempt 1" in shown(flow.request, flow, "neurolink")


def test_an_answer_of_our_own_is_shown_as_usual() -> None:
    flow = a_flow(attempts=[])
    assert RULE not in shown(flow.response, flow)


@pytest.mark.parametrize("view", ["auto", "neurolink"])
def test_a_flow_without_record(view: str) -> None:
    """One that was read from a file, say."""
    flow = make_flow(opened=False)
    answer(flow)
    assert RULE not in shown(flow.response, flow, view)


def test_it_can_be_added_again() -> None:
    """By the next master of the process."""
    add_view()
    add_view()
