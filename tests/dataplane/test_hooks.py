from __future__ import annotations

import json

import pytest
from mitmproxy import http
from mitmproxy.hooks import all_hooks
from mitmproxy.io import tnetstring
from mitmproxy.test import tflow

from neurolink_mitm.core.exchange import Deliver, Pause, Reply, Step, Try
from neurolink_mitm.dataplane.hooks import (
    SUMMARY,
    AttemptFailedHook,
    AttemptHook,
    ResponseCompleteHook,
    attach_exchange,
    detach_exchange,
    error_response,
    exchange_of,
    final_response,
    json_response,
    mask_credentials,
    save_response,
    summary_of,
)
from tests.fakes import make_account, make_attempt, make_exchange, make_plan


@pytest.mark.parametrize(
    ("hook", "name"),
    [
        (AttemptHook, "attempt"),
        (AttemptFailedHook, "attempt_failed"),
        (ResponseCompleteHook, "response_complete"),
    ],
)
def test_an_addon_hears_it_by_its_name_and_gets_the_flow(
    hook: type[AttemptHook], name: str
) -> None:
    flow = tflow.tflow()
    assert hook(flow).name == name
    assert hook(flow).args() == [flow]
    assert all_hooks[name] is hook


def test_the_record_of_a_flow() -> None:
    flow, exchange = tflow.tflow(), make_exchange()
    attach_exchange(flow, exchange)
    assert exchange_of(flow) is exchange


@pytest.mark.parametrize(
    "metadata", [{}, {SUMMARY: None}, {SUMMARY: {"requestId": "req_1"}}],
    ids=["none", "null", "finished"],
)  # fmt: skip
def test_a_flow_without_record(metadata: dict[str, object]) -> None:
    flow = tflow.tflow()
    flow.metadata.update(metadata)
    assert exchange_of(flow) is None


def test_a_flow_can_be_saved_and_copied_while_it_is_live() -> None:
    """mitmweb does so on a click; what it can't write down must not be among what it saves."""
    flow = tflow.tflow()
    attach_exchange(flow, make_exchange(plan=make_plan()))
    save_response(flow, json_response(529, b"{}"))
    saved = tnetstring.dumps(flow.get_state())
    assert http.HTTPFlow.from_state(tnetstring.loads(saved)).id == flow.id
    assert exchange_of(flow.copy()) is None


def test_a_record_ends_as_plain_values_where_somebody_watches() -> None:
    flow, exchange = tflow.tflow(), make_exchange(attempts=[make_attempt(make_account())])
    attach_exchange(flow, exchange)
    mask_credentials(flow)
    live = summary_of(flow)
    detach_exchange(flow, exchange)
    assert exchange_of(flow) is None
    copied = http.HTTPFlow.from_state(tnetstring.loads(tnetstring.dumps(flow.get_state())))
    assert summary_of(flow) == summary_of(copied) == live


def test_where_nobody_watches_nothing_is_left() -> None:
    flow, exchange = tflow.tflow(), make_exchange()
    attach_exchange(flow, exchange)
    detach_exchange(flow, exchange)
    assert (exchange_of(flow), summary_of(flow), flow.metadata) == (None, None, {})


def test_the_last_word_may_be_upstreams() -> None:
    flow, answer = tflow.tflow(), json_response(529, b"{}")
    save_response(flow, answer)
    assert final_response(flow, make_exchange(step=Deliver())) is answer


def test_the_last_word_may_be_our_own() -> None:
    reply = Reply(429, "rate_limit_error", "all accounts are cooling", retry_after=7)
    response = final_response(tflow.tflow(), make_exchange(step=reply))
    assert response is not None
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert json.loads(response.content or b"")["request_id"] == "req_1"


@pytest.mark.parametrize(
    "step", [None, Try(make_account(), "why"), Pause(1.0)], ids=["none", "try", "pause"]
)
def test_while_there_is_more_to_do_there_is_no_last_word(step: Step | None) -> None:
    flow = tflow.tflow()
    save_response(flow, json_response(529, b"{}"))
    assert final_response(flow, make_exchange(step=step)) is None


def test_an_answer_of_our_own() -> None:
    response = json_response(200, b'{"a":1}')
    assert (response.status_code, response.content) == (200, b'{"a":1}')
    assert dict(response.headers) == {"content-type": "application/json", "content-length": "7"}


def test_an_error_of_our_own() -> None:
    response = error_response(Reply(404, "not_found_error", "no such path"), "req_1")
    assert response.status_code == 404
    assert json.loads(response.content or b"") == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "no such path"},
        "request_id": "req_1",
    }


def test_an_error_without_a_request_names_none() -> None:
    response = error_response(Reply(400, "invalid_request_error", "why"))
    assert "request_id" not in json.loads(response.content or b"")


@pytest.mark.parametrize(("seconds", "told"), [(None, None), (0, "0"), (7, "7")])
def test_an_error_says_when_to_come_back(seconds: int | None, told: str | None) -> None:
    response = error_response(Reply(429, "rate_limit_error", "why", retry_after=seconds))
    assert response.headers.get("retry-after") == told


@pytest.mark.parametrize(
    ("status", "lasting", "told"),
    [
        *((status, None, "false") for status in (400, 401, 402, 403, 404, 413, 431)),
        *((status, None, None) for status in (408, 429, 500, 502, 503, 504, 529)),
        (503, True, "false"),
        (502, True, "false"),
        (404, False, None),
    ],
)
def test_an_error_that_no_repetition_mends_says_so(
    status: int, lasting: bool | None, told: str | None
) -> None:
    response = error_response(Reply(status, "api_error", "why", lasting=lasting))
    assert response.headers.get("x-should-retry") == told


def test_any_text_can_be_an_error() -> None:
    response = error_response(Reply(400, "invalid_request_error", 'quote " \n \x00 \u00e9'))
    assert json.loads(response.content or b"")["error"]["message"] == 'quote " \n \x00 \u00e9'


def test_each_error_is_an_answer_of_its_own() -> None:
    reply = Reply(400, "invalid_request_error", "why")
    first, second = error_response(reply), error_response(reply)
    first.headers["x-neurolink-request-id"] = "req_1"
    assert isinstance(second, http.Response)
    assert "x-neurolink-request-id" not in second.headers


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(200, "OK"), (429, "Too Many Requests"), (431, "Request Header Fields Too Large"),
     (529, "Overloaded"), (520, "Error")],
)  # fmt: skip
def test_a_status_line_has_its_phrase(status: int, phrase: str) -> None:
    """On Python 3.11, mitmproxy knows none for 429."""
    assert json_response(status, b"{}").reason == phrase
