from __future__ import annotations

import json

import pytest
from mitmproxy import exceptions, http

from neurolink_mitm.addons.inspect import Inspect
from neurolink_mitm.core.exchange import Outcome
from neurolink_mitm.dataplane.hooks import SUMMARY, mask_credentials, unmasked_fields
from tests.addons.flows import make_flow, record
from tests.core.logs.test_summary import LIMITED, SERVED

SECRET = "sk-ant-test-secret"
SENSITIVE = ["authorization", "x-api-key", "cookie", "proxy-authorization", "x-neurolink-admin"]


@pytest.mark.parametrize("name", SENSITIVE)
def test_credentials_are_hidden_and_still_there(name: str) -> None:
    flow = make_flow(headers={name: SECRET, "x-other": "seen"})
    before = flow.request.headers.fields
    Inspect().requestheaders(flow)
    assert (flow.request.headers[name], flow.request.headers["x-other"]) == ("***", "seen")
    assert SECRET not in json.dumps(str(flow.get_state()["request"]))
    assert SECRET not in repr(record(flow))
    assert unmasked_fields(flow) == before


def test_what_an_attempt_injects_is_hidden_in_its_turn() -> None:
    flow = make_flow(headers={"x-api-key": "the-callers"}, attempts=[SERVED])
    Inspect().requestheaders(flow)
    flow.request.headers["x-api-key"] = SECRET
    Inspect().attempt(flow)
    assert flow.request.headers["x-api-key"] == "***"
    assert http.Headers(unmasked_fields(flow))["x-api-key"] == SECRET


def test_a_header_that_is_there_twice() -> None:
    flow = make_flow()
    flow.request.headers.fields += ((b"Cookie", b"a=1"), (b"cookie", b"b=2"))
    before = flow.request.headers.fields
    mask_credentials(flow)
    mask_credentials(flow)
    assert flow.request.headers.get_all("cookie") == ["***", "***"]
    assert unmasked_fields(flow) == before


def test_what_was_added_meanwhile_stays() -> None:
    flow = make_flow(headers={"x-api-key": SECRET})
    mask_credentials(flow)
    flow.request.headers["anthropic-version"] = "2023-06-01"
    found = http.Headers(unmasked_fields(flow))
    assert (found["x-api-key"], found["anthropic-version"]) == (SECRET, "2023-06-01")


def test_nothing_is_hidden_where_nobody_watches() -> None:
    flow = make_flow(headers={"x-api-key": SECRET})
    assert record(flow).masked == ()
    assert unmasked_fields(flow) is flow.request.headers.fields


@pytest.mark.parametrize(
    "hook", ["attempt", "attempt_failed", "responseheaders", "response", "error"]
)
def test_a_flow_says_who_served_it(hook: str) -> None:
    flow = make_flow(attempts=[LIMITED, SERVED], outcome=Outcome.COMPLETE)
    getattr(Inspect(), hook)(flow)
    assert (flow.comment, flow.marked) == ("beta, after alpha (429)", ":warning:")


@pytest.mark.parametrize("path", ["/health", "/status", "/status?explain=1"])
def test_what_is_asked_all_the_time_is_not_shown(path: str) -> None:
    """mitmproxy's list of flows is an addon like any other."""
    with pytest.raises(exceptions.AddonHalt):
        Inspect().requestheaders(make_flow("GET", path))


def test_a_flow_that_nobody_has_opened() -> None:
    flow = make_flow(opened=False)
    Inspect().requestheaders(flow)
    Inspect().response(flow)
    assert (flow.comment, SUMMARY in flow.metadata) == ("", False)


def test_flows_of_other_modes_and_loaded_ones_are_left_alone() -> None:
    flow = make_flow("GET", "/health", {"x-api-key": "theirs"}, opened=False, ours=False)
    flow.metadata[SUMMARY], flow.comment = {"attempts": []}, "as it was"
    Inspect().requestheaders(flow)
    Inspect().response(flow)
    assert (flow.request.headers["x-api-key"], flow.comment) == ("theirs", "as it was")
