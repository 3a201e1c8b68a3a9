"""Each row of the failure policy, through the real proxy: streamed with two accounts, and not streamed with one.

The first row of each kind also the other way round. tests/core has all that a status can mean.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from neurolink_mitm.core.request.endpoints import endpoint_of, is_inference
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.history import signature_of
from neurolink_mitm.sandbox.server import SandboxServer
from tests.fakes import NOW, FakeClock
from tests.flows.ahead import Ahead, ask_in_vain
from tests.flows.failures import ROWS, Row
from tests.flows.harness import (
    LIMIT,
    Proxy,
    account,
    connect,
    events,
    message,
    raw_request,
    timeouts,
)

HISTORY = [
    {"role": "user", "content": "think"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": signature_of("hm")},
            {"type": "text", "text": "done"},
        ],
    },
    {"role": "user", "content": "go on"},
]


class Case:
    """One request on one row of the policy, and what is to be seen of it."""

    def __init__(self, row: Row, stream: bool, sandbox: SandboxServer, proxy: Proxy) -> None:
        self.row, self.stream, self.sandbox, self.proxy = row, stream, sandbox, proxy

    @property
    def body(self) -> dict[str, object]:
        return message(stream=self.stream, messages=HISTORY)

    def ask(self) -> httpx.Response:
        url = f"{self.proxy.url}{self.row.path}"
        if is_inference(endpoint_of(self.row.path)):
            return httpx.post(url, json=self.body, timeout=LIMIT)
        return httpx.get(url, timeout=LIMIT)

    def calls(self) -> dict[str, int]:
        return dict(Counter(r.account or "" for r in self.sandbox.requests))

    def check_cooldown(self) -> None:
        """Exactly the cooldown the row names, on the account that failed and on no other."""
        state = self.proxy.runtime.pool.account_state
        found = {s: round(c.until - NOW, 3) for s, c in state("anthropic:a").cooldowns.items()}
        assert found == ({self.row.scope: self.row.seconds} if self.row.scope else {})
        if len(self.proxy.accounts) > 1:
            assert not state("anthropic:b").cooldowns

    def check_rows(self, outcome: str, calls: dict[str, int]) -> None:
        """One summary, and as many attempts as upstream saw requests."""
        [row] = self.proxy.rows.wait()
        assert (row.outcome, row.attempts) == (outcome, sum(calls.values()))
        assert Counter(r.account for r in self.proxy.rows.attempts) == Counter(calls)
        first = self.proxy.rows.attempts[0]
        assert first.cooldownMs == self.row.seconds * 1000
        assert first.errorType == (self.row.error_type or first.errorType)

    def check_answer(self, answer: httpx.Response, last: str, attempts: int) -> None:
        """The client has the bytes of the account that served it, and is told which that was."""
        assert answer.status_code == 200
        assert answer.content == self.sandbox.requests[-1].answer
        assert answer.headers["x-neurolink-account"] == last
        assert answer.headers["x-neurolink-attempts"] == str(attempts)


@pytest.fixture
def case(request: pytest.FixtureRequest, sandbox: SandboxServer) -> Iterator[Case]:
    row, stream, accounts = request.param
    limits = timeouts()
    if row.then == "closed":  # by the machine's clock: whenever that is, the same is to be seen
        limits = timeouts(idle=0.3, total=LIMIT)
    pool = [account(name, sandbox.url) for name in ("a", "b")[:accounts]]
    sandbox.script("a", row.reply, Reply()) if row.then == "mended" else sandbox.script(
        "a", row.reply
    )
    with Proxy(pool, limits, clock=FakeClock()) as proxy:
        yield Case(row, stream, sandbox, proxy)


def rows(*then: str) -> pytest.MarkDecorator:
    chosen = [row for row in ROWS if row.then in then]
    firsts = [next(row for row in chosen if row.then == each) for each in then]
    cases = {
        f"{row.name}, {'streamed' if stream else 'whole'}, {accounts} accounts": (
            row,
            stream,
            accounts,
        )
        for row in chosen
        for stream, accounts in itertools.product((True, False), (2, 1))
        if stream == (accounts == 2) or row in firsts
    }
    return pytest.mark.parametrize("case", cases.values(), ids=cases, indirect=True)


@rows("served", "as is", "mended")
def test_answered_by_the_same_account(case: Case) -> None:
    answer = case.ask()
    row = case.row
    calls = {"a": 2 if row.then == "mended" else 1}
    if row.then == "as is":
        assert answer.status_code == row.reply.status
        assert answer.content == case.sandbox.requests[-1].answer
    else:
        case.check_answer(answer, "a", calls["a"])
    if row.then == "mended":
        first, second = (json.loads(r.body) for r in case.sandbox.requests)
        assert [b["type"] for b in first["messages"][1]["content"]] == ["thinking", "text"]
        assert [b["type"] for b in second["messages"][1]["content"]] == ["text"]
    assert case.calls() == calls
    case.check_cooldown()
    case.check_rows("error" if row.then == "as is" else "complete", calls)


@rows("next")
def test_next_account(case: Case) -> None:
    answer = case.ask()
    if len(case.proxy.accounts) == 2:
        case.check_answer(answer, "b", 2)
        assert case.calls() == {"a": 1, "b": 1}
        case.check_cooldown()
        case.check_rows("complete", {"a": 1, "b": 1})
        return
    whole_account = bool(case.row.scope)
    calls = {"a": 1 if whole_account else 2}
    assert case.calls() == calls
    assert case.row.reply.html or answer.json()["type"] == "error"
    if whole_account:  # nobody is left: our own 429
        assert (answer.status_code, answer.json()["error"]["type"]) == (429, "rate_limit_error")
        assert int(answer.headers["retry-after"]) == case.row.seconds
        assert " a: " in answer.json()["error"]["message"]
    elif answer.status_code == case.row.reply.status:  # upstream's own last word
        assert answer.content == case.sandbox.requests[-1].answer
    else:  # upstream has said nothing of its own
        assert answer.status_code in (502, 529, 500)
    case.check_cooldown()
    case.check_rows("error", calls)


@rows("told")
def test_next_account_or_what_all_of_them_say(case: Case) -> None:
    answer = case.ask()
    if len(case.proxy.accounts) == 2:
        case.check_answer(answer, "b", 2)
        case.check_rows("complete", {"a": 1, "b": 1})
    else:
        assert answer.status_code == case.row.reply.status
        assert answer.content == case.sandbox.requests[-1].answer
        case.check_rows("error", {"a": 1})
    case.check_cooldown()


@rows("stalls")
def test_silence(case: Case, ahead: Ahead) -> None:
    two = len(case.proxy.accounts) == 2
    limits = case.proxy.config.timeouts
    passes = [limits.first_event] * (1 if two else 2) if case.stream else [limits.total]
    answer = ask_in_vain(case.proxy, case.sandbox, ahead, passes, case.body)
    if case.stream and two:
        case.check_answer(answer, "b", 2)
        calls = {"a": 1, "b": 1}
    else:  # a whole answer has all the time there is, and then there is none for another
        assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")
        calls = {"a": 2 if case.stream else 1}
    assert case.calls() == calls
    case.check_cooldown()
    case.check_rows("complete" if case.stream and two else "error", calls)
    case.sandbox.wait_for(lambda requests: requests[0].disconnected)


@rows("closed")
def test_cut_after_content(case: Case) -> None:
    """An answer that is not streamed has not been begun for the client: it is asked for again."""
    answer = case.ask()
    if case.stream:
        name, data = events(answer.content)[-1]
        assert (name, data["error"]["type"]) == ("error", "overloaded_error")
        assert case.calls() == {"a": 1}
        case.check_rows("truncated", {"a": 1})
    elif len(case.proxy.accounts) == 2:
        case.check_answer(answer, "b", 2)
    else:
        assert answer.status_code in (502, 504)
    case.check_cooldown()


@rows("left")
def test_client_leaves(case: Case) -> None:
    with connect(case.proxy) as connection:
        body = json.dumps(message(stream=case.stream)).encode()
        connection.sendall(raw_request(body))
        case.sandbox.wait_for(lambda requests: requests[-1].status == 200)
    case.sandbox.wait_for(lambda requests: requests[-1].disconnected)
    case.check_cooldown()
    case.check_rows("client_cancelled", {"a": 1})
