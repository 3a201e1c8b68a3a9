from __future__ import annotations

import gc
from typing import Any

import pytest

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.exchange import Exchange, Hold, Kind, Pause
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.response.reader import OpaqueReader, ResponseReader
from neurolink_mitm.core.response.usage import TokenUsage
from neurolink_mitm.core.status.in_flight import LISTED, InFlight, State, state_of
from tests.fakes import NOW, make_account, make_attempt, make_exchange, make_other

WORK = make_account("work")
UPSTREAM = {"ready": True, "reader": None}
HOLD = Hold(NOW, "", recovery=True)
FAILED = {"failure": Failure.of_status(429, b""), "ready": True, "reader": None}


def listed(*exchanges: Exchange, now: float = NOW) -> list[dict[str, Any]]:
    registry = InFlight()
    for each in exchanges:
        registry.add(each)
    requests = registry.report(now)["requests"]
    assert isinstance(requests, list)
    return requests


def asking(number: int = 1, **changes: Any) -> Exchange:
    return make_exchange(request_id=f"req_{number}", kind=Kind.MESSAGES, **changes)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.WAITING),
        ({"attempt": make_attempt(WORK, sent=False, reader=None)}, State.WAITING),
        ({"attempt": make_attempt(WORK, **UPSTREAM | {"sent": False})}, State.CONNECTING),
        ({"attempts": [make_attempt(WORK, **UPSTREAM)]}, State.SENT),
        ({"attempts": [make_attempt(WORK, ready=True)]}, State.STREAMING),
        ({"attempts": [make_attempt(WORK, **FAILED)], "step": Pause(1)}, State.WAITING),
        ({"attempts": [make_attempt(WORK, **FAILED)], "step": Hold(NOW, "")}, State.WAITING),
        ({"attempts": [make_attempt(WORK, **FAILED)], "step": HOLD}, State.HELD),
        (
            {"attempt": make_attempt(reader=None, sent=False), "step": HOLD},
            State.HELD,
        ),
    ],
    ids=[
        "its body comes", "a token is refreshed", "connecting", "sent", "streaming", "pause", "for a moment",
        "held after a 429", "held at once",
    ],
)  # fmt: skip
def test_the_state_is_read_from_the_exchange(changes: dict[str, Any], state: State) -> None:
    assert state_of(asking(**changes)) is state


def test_a_streamed_request() -> None:
    [request] = listed(
        asking(
            path="/v1/messages?beta=true",
            model="claude-opus-4-6",
            client_key=ClientKey("ann", "", 0),
            session_id="s1",
            agent_id="a1",
            attempts=[
                make_attempt(
                    WORK,
                    **FAILED,
                    status=429,
                    ended_at=NOW + 0.5,
                    reason="rate limit (429)",
                    connect_seconds=0.01,
                    tls_seconds=0.02,
                ),
                make_attempt(
                    make_other("openai", "gpt"),
                    number=2,
                    sent_at=NOW + 0.6,
                    ready=True,
                    status=200,
                    wait_seconds=0.25,
                    reader=OpaqueReader(size=900, content_size=400),
                ),
            ],
            first_byte_at=NOW + 1,
        ),
        now=NOW + 1.5,
    )
    assert request == {
        "requestId": "req_1",
        "path": "/v1/messages",
        "api": "anthropic",
        "model": "claude-opus-4-6",
        "client": "ann",
        "session": "s1",
        "agent": "a1",
        "state": "streaming",
        "account": "openai/gpt",
        "attempt": 2,
        "attempts": [
            {
                "number": 1,
                "account": "work",
                "provider": "anthropic",
                "model": None,
                "since": "2025-10-09T08:53:20.000Z",
                "endedAt": "2025-10-09T08:53:20.500Z",
                "status": 429,
                "errorType": "http_429",
                "reason": "rate limit (429)",
                "connectMs": 30.0,
                "waitMs": None,
            },
            {
                "number": 2,
                "account": "openai/gpt",
                "provider": "openai",
                "model": "gpt",
                "since": "2025-10-09T08:53:20.600Z",
                "endedAt": None,
                "status": 200,
                "errorType": None,
                "reason": None,
                "connectMs": 0.0,
                "waitMs": 250.0,
            },
        ],
        "since": "2025-10-09T08:53:20.000Z",
        "ageMs": 1500,
        "heldSince": None,
        "heldUntil": None,
        "heldFor": None,
        "heldMs": 0,
        "firstByteAt": "2025-10-09T08:53:21.000Z",
        "responseBytes": 900,
        "outputTokens": 100,
    }


def test_a_held_request_is_on_no_account() -> None:
    failed = make_attempt(WORK, **FAILED)
    [request] = listed(asking(attempts=[failed], step=Hold(NOW + 60, "", recovery=True)))
    assert (request["account"], request["attempt"]) == (None, 1)
    assert request["heldUntil"] == "2025-10-09T08:54:20.000Z"


def test_since_when_a_request_is_held_and_what_for() -> None:
    registry, room = InFlight(), WaitingRoom()
    step = Hold(NOW + 60, "waits for anthropic:work", recovery=True)
    exchange = asking(step=step, held_seconds=1.5)
    registry.add(exchange)
    room.enter(exchange, step, NOW + 2, 0.0, lambda: None)
    [request] = registry.report(NOW + 3, room=room)["requests"]  # type: ignore[misc]
    names = ("heldSince", "heldFor", "heldMs")
    assert [request[name] for name in names] == [
        "2025-10-09T08:53:22.000Z", "waits for anthropic:work", 1500,
    ]  # fmt: skip


def test_an_attempt_is_listed_from_when_its_account_is_chosen() -> None:
    """Before that it is none: a held request has a current attempt without an account."""
    failed = make_attempt(WORK, **FAILED)
    chosen = make_attempt(WORK, number=2, sent=False, sent_at=NOW + 1, reader=None)
    unchosen = make_attempt(number=2, sent=False, sent_at=0.0, reader=None)
    for current, numbers in ((failed, [1]), (chosen, [1, 2]), (unchosen, [1])):
        exchange = asking(attempts=[failed])
        exchange.attempt = current
        [request] = listed(exchange)
        assert [each["number"] for each in request["attempts"]] == numbers


def test_the_latest_of_many_attempts() -> None:
    many = [make_attempt(WORK, number=number, **FAILED) for number in range(1, 500)]
    [request] = listed(asking(attempts=many))
    assert [each["number"] for each in request["attempts"]] == list(range(480, 500))


@pytest.mark.parametrize(
    ("reader", "tokens"),
    [
        (None, None),
        (OpaqueReader(size=900), None),
        (OpaqueReader(content_size=400, usage=TokenUsage(output_tokens=1)), 100),
        (OpaqueReader(content_size=4, usage=TokenUsage(output_tokens=8)), 8),
        (OpaqueReader(content_size=400, usage=TokenUsage(None, "end_turn", 1, 120)), 120),
    ],
    ids=["no response", "not read", "estimated", "more than estimated", "at its end"],
)
def test_tokens_of_the_response_so_far(reader: ResponseReader | None, tokens: int | None) -> None:
    [request] = listed(asking(attempts=[make_attempt(WORK, ready=True, reader=reader)]))
    assert request["outputTokens"] == tokens


def test_what_clients_call_things_is_cut_and_masked() -> None:
    key = "sk-ant-test-secret"
    [request] = listed(asking(model=f"x {key}", path=f"/v1/{key}?key=1", session_id="s" * 1000))
    assert key not in str(request)
    assert len(request["session"]) < 200


def test_a_clock_that_was_set_back() -> None:
    assert listed(asking(), now=NOW - 5)[0]["ageMs"] == 0


def test_pages_of_our_own_are_no_requests() -> None:
    assert listed(make_exchange(kind=Kind.LOCAL)) == []


def test_the_oldest_and_the_newest_of_many() -> None:
    registry, many = InFlight(), [asking(n, step=HOLD) for n in range(LISTED + 10)]
    for each in many:
        registry.add(each)
    report = registry.report(NOW)
    assert (report["requestsInFlight"], report["requestsHeld"]) == (60, 60)
    requests = report["requests"]
    assert isinstance(requests, list)
    numbers = [int(each["requestId"].removeprefix("req_")) for each in requests]
    assert numbers == [*range(25), *range(35, 60)]


def test_one_that_has_ended_is_gone() -> None:
    registry, exchange = InFlight(), asking()
    registry.add(exchange)
    registry.remove(exchange)
    registry.remove(exchange)
    assert list(registry) == []


def test_one_whose_end_nobody_announced_goes_with_its_flow() -> None:
    registry = InFlight()
    registry.add(asking())
    gc.collect()
    assert list(registry) == []


def test_what_is_not_shown_is_counted() -> None:
    registry = InFlight()
    exchanges = [asking(number) for number in (1, 2)]
    for each in exchanges:
        registry.add(each)
    report = registry.report(NOW, lambda each: each is exchanges[0])
    assert report["requestsInFlight"] == 2
    assert [each["requestId"] for each in report["requests"]] == ["req_1"]  # type: ignore[attr-defined]
