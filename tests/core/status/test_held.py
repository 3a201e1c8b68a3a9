from __future__ import annotations

from typing import Any

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.exchange import Exchange, Hold, Kind
from neurolink_mitm.core.failover.waiting import WaitingRoom
from neurolink_mitm.core.pool.choice import Requirements
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.status.held import held_report
from tests.fakes import NOW, make_account, make_exchange, make_failure


def held(room: WaitingRoom, name: str, **of: Any) -> Exchange:
    exchange = make_exchange(request_id=name, kind=Kind.MESSAGES, model="claude-x", **of)
    room.enter(exchange, Hold(NOW + 900, "", recovery=True), NOW, 0.0, lambda: None)
    return exchange


def test_who_is_held_and_for_what() -> None:
    pool, room = Pool([make_account("a")]), WaitingRoom()
    failure = make_failure(429, "retry-after: 300")
    pool.failed("anthropic:a", Requirements(), failure, sent_at=NOW, now=NOW)
    held(room, "r1", client_key=ClientKey("ci", "", 0), session_id="s", agent_id="x")
    held(room, "r2")
    first, second = held_report(room, pool, NOW)
    assert first == {
        "requestId": "r1",
        "client": "ci",
        "session": "s",
        "agent": "x",
        "model": "claude-x",
        "since": "2025-10-09T08:53:20.000Z",
        "until": "2025-10-09T09:08:20.000Z",
        "account": "anthropic:a",
        "backAt": "2025-10-09T08:58:20.000Z",
    }
    assert (second["requestId"], second["session"]) == ("r2", None)


def test_one_whose_account_will_not_be_back() -> None:
    room = WaitingRoom()
    held(room, "r1")
    [row] = held_report(room, Pool([make_account("a", enabled=False)]), NOW)
    assert (row["account"], row["backAt"]) == (None, None)


def test_those_that_have_gone_on_are_not_held() -> None:
    room = WaitingRoom()
    room.resumed(held(room, "r1"), 1.0)
    assert held_report(room, Pool([]), NOW) == []
