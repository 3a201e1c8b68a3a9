from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from neurolink_mitm.addons.capture import CAPTURE, HELD, Capture
from neurolink_mitm.core.exchange import ClientRequest, Outcome
from neurolink_mitm.core.logs.capture import LIMIT, Captured
from neurolink_mitm.core.settings.values import Config, Logging
from neurolink_mitm.dataplane.hooks import flow_state
from neurolink_mitm.ports import Runtime
from tests.addons.flows import answer, make_flow
from tests.core.openai.formats import PlainAnswer
from tests.fakes import make_account, make_attempt, make_runtime


@dataclass
class ListBodies:
    """Keeps what was captured."""

    captured: list[Captured] = field(default_factory=list)

    def capture(self, captured: Captured) -> None:
        self.captured.append(captured)


def runtime(mode: str = "all") -> tuple[Runtime, ListBodies]:
    bodies = ListBodies()
    config = Config(logging=Logging(capture_bodies=mode))  # type: ignore[arg-type]
    return make_runtime(config=config, bodies=bodies), bodies


def test_where_it_is_off_nothing_is_kept_and_nothing_teed() -> None:
    addon, flow = Capture(runtime("off")[0]), make_flow(attempts=[make_attempt(make_account())])
    addon.request(flow)
    answer(flow).stream = True
    addon.responseheaders(flow)
    assert CAPTURE not in flow_state(flow)
    assert flow.response is not None
    assert flow.response.stream is True


def test_what_passes_is_kept_and_changed_by_who_was_there_before() -> None:
    """Another addon may rewrite the stream: what came from upstream is kept, what it makes of that goes on."""
    there, bodies = runtime()
    addon, flow = Capture(there), make_flow(attempts=[make_attempt(make_account())], status=200)
    addon.request(flow)
    answer(flow).stream = bytes.upper
    assert flow.response is not None
    addon.responseheaders(flow)
    assert callable(flow.response.stream)
    assert flow.response.stream(b"ab") == b"AB"
    addon.response(flow)
    kept = [c.body.content for c in bodies.captured if c.body and c.status]
    assert kept == [b"ab", b"ab"]


def test_of_a_translated_request_both_sides_have_their_own_form() -> None:
    there, bodies = runtime()
    client = ClientRequest(((b"host", b"h"),), b"chat")
    flow = make_flow(
        path="/v1/chat/completions", body=b"messages", attempts=[make_attempt(make_account())],
        status=200, client_request=client, answer=PlainAnswer(),
    )  # fmt: skip
    addon = Capture(there)
    addon.request(flow)
    answer(flow).stream = bytes.upper
    addon.responseheaders(flow)
    assert flow.response is not None
    assert callable(flow.response.stream)
    assert flow.response.stream(b"ab") == b"AB"
    addon.response(flow)
    contents = [each.body.content for each in bodies.captured if each.body]
    assert contents == [b"chat", b"messages", b"ab", b"AB"]
    assert bodies.captured[0].fields == client.fields
    assert addon._room.left == HELD


def test_a_body_is_kept_up_to_a_limit() -> None:
    there, bodies = runtime()
    addon, flow = Capture(there), make_flow(attempts=[make_attempt(make_account())], status=200)
    addon.request(flow)
    answer(flow).stream = True
    addon.responseheaders(flow)
    assert flow.response is not None
    assert callable(flow.response.stream)
    for _ in range(3):
        flow.response.stream(b"x" * (LIMIT // 2))
    addon.response(flow)
    body = bodies.captured[-1].body
    assert body is not None
    assert (len(body.content), body.size) == (LIMIT, LIMIT // 2 * 3)


def test_requests_under_way_take_a_bounded_room() -> None:
    there, bodies = runtime()
    addon = Capture(there)
    flows = [make_flow(body=b"x" * (HELD // 2)) for _ in range(3)]
    for flow in flows:
        addon.request(flow)
    for flow in flows:
        answer(flow)
        addon.response(flow)
    kept = [bool(c.body and c.body.content) for c in bodies.captured if c.phase == "client_request"]
    assert kept == [True, True, False]
    assert addon._room.left == HELD


@pytest.mark.parametrize("status", [401, 403])
def test_strangers_do_not_fill_the_disk(status: int) -> None:
    there, bodies = runtime()
    addon, flow = Capture(there), make_flow(status=status, outcome=Outcome.ERROR)
    addon.request(flow)
    answer(flow, status)
    addon.response(flow)
    assert bodies.captured == []


def test_status_pages_are_not_captured() -> None:
    there, bodies = runtime()
    addon, flow = Capture(there), make_flow("GET", "/status", status=200)
    addon.request(flow)
    answer(flow)
    addon.response(flow)
    assert bodies.captured == []


def test_a_flow_without_record_is_left_alone() -> None:
    there, bodies = runtime()
    addon, flow = Capture(there), make_flow(opened=False)
    for hook in (addon.request, addon.attempt_failed, addon.responseheaders, addon.response):
        hook(flow)
    assert bodies.captured == []
