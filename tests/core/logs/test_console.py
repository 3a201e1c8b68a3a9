from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.auth.client_keys import ClientKey
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.logs import console
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.response.reader import OpaqueReader
from tests.fakes import make_account, make_attempt, make_exchange, make_other

WORK = make_account("work", "sk-ant-oat-test-work")
CONTROLS = ["\x1b[2J", "\r", "\n", "\x07", "\x7f", "\x9b31m", "\u202e", "\u2028", "\udc80", "\x00"]


# --- a request has come


def test_asked_for_a_stream() -> None:
    exchange = make_exchange(
        path="/v1/messages?beta=true", model="claude-opus-4-6", stream=True, tool_count=109
    )
    assert console.request_line(exchange) == (
        "[proxy] POST /v1/messages -> model=claude-opus-4-6 stream tools=109"
    )


def test_asked_for_the_whole() -> None:
    exchange = make_exchange(path="/v1/messages", model="claude-x")
    assert console.request_line(exchange) == "[proxy] POST /v1/messages -> model=claude-x tools=0"


def test_another_api_is_told_by_the_clients_path() -> None:
    exchange = make_exchange(
        path="/v1/chat/completions?x=1", model="gpt-x", api=Api.CHAT, stream=True
    )
    line = "[proxy] POST /v1/chat/completions -> model=gpt-x stream tools=0"
    assert console.request_line(exchange) == line


def test_asked_by_a_client_with_a_name() -> None:
    exchange = make_exchange(model="claude-x", client_key=ClientKey("bob\x1b", "", 0))
    assert console.request_line(exchange).endswith("tools=0 client=bob?")


def test_asked_for_something_else() -> None:
    exchange = make_exchange(method="GET", path="/v1/files")
    assert console.request_line(exchange) == "[proxy] GET /v1/files"


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_client_can_not_steer_the_terminal(control: str) -> None:
    path = f"/v1/{control}"
    line = console.request_line(make_exchange(method=control, path=path, model=f"claude-{control}"))
    assert line.isprintable()


def test_no_secret_of_a_request_is_shown() -> None:
    line = console.request_line(
        make_exchange(path="/v1/sk-ant-test-1?key=hunter2", model="sk-ant-test-2")
    )
    assert line == "[proxy] POST /v1/*** -> model=*** tools=0"


# --- an attempt


def test_attempted() -> None:
    assert console.attempt_line(WORK) == "[proxy] -> account=work (oauth)"


@pytest.mark.parametrize(
    ("attempt", "line"),
    [
        (
            make_attempt(WORK, status=429, cooldown=1.0),
            "[proxy] <- 429 account=work backoff-level=0 cooldown=1s",
        ),
        (
            make_attempt(WORK, status=429, cooldown=599.6, backoff_level=4),
            "[proxy] <- 429 account=work backoff-level=4 cooldown=600s",
        ),
        (make_attempt(WORK, status=529), "[proxy] <- 529 account=work"),
        (
            make_attempt(WORK, failure=Failure.of_network("connect_error", "refused")),
            "[proxy] <- connect_error account=work",
        ),
        (make_attempt(None, status=502), "[proxy] <- 502"),
        (make_attempt(None), "[proxy] <- ?"),
    ],
    ids=["rate-limit", "again", "no-cooldown", "network", "no-account", "unknown"],
)
def test_failed(attempt: object, line: str) -> None:
    assert console.failure_line(attempt) == line


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_an_upstream_can_not_steer_the_terminal(control: str) -> None:
    failure = Failure.of_network(f"{control}_error", "why")
    assert console.failure_line(make_attempt(WORK, failure=failure)).isprintable()


# --- an answer


def test_answered_by_an_account() -> None:
    exchange = make_exchange(attempts=[make_attempt(WORK)])
    assert console.response_line(exchange, 200) == "[proxy] <- 200 account=work"


@pytest.mark.parametrize(
    "attempts",
    [[], [make_attempt(None)], [make_attempt(WORK, failure=Failure.of_status(429, b""))]],
    ids=["no-attempt", "no-account", "failed"],
)
def test_answered_here(attempts: list[object]) -> None:
    exchange = make_exchange(attempts=attempts)
    assert console.response_line(exchange, 429) == "[proxy] <- 429 by neurolink"


def test_an_answer_that_was_not_released_is_not_the_accounts() -> None:
    exchange = make_exchange(attempts=[make_attempt(WORK)])
    exchange.attempts[-1].reader = OpaqueReader(released=False)
    assert console.response_line(exchange, 502) == "[proxy] <- 502 by neurolink"


# --- printable


@given(st.text(st.characters()))
def test_every_character_is_shown_or_replaced_by_one(text: str) -> None:
    shown = console.printable(text)
    assert len(shown) == len(text)
    assert all(
        new == (old if old.isprintable() else "?") for old, new in zip(text, shown, strict=True)
    )


def test_another_provider_is_named_with_its_model() -> None:
    other = make_other()
    exchange = make_exchange(attempts=[make_attempt(other)])
    assert console.attempt_line(other) == "[proxy] -> provider=openai model=gpt-x"
    assert console.response_line(exchange, 200) == "[proxy] <- 200 provider=openai model=gpt-x"


# --- which betas go out


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (["oauth-2025-04-20,claude-code-20250219"], "oauth-2025-04-20,claude-code-20250219"),
        (["a", "b"], "a, b"),
        ([], "none"),
    ],
)
def test_betas(values: list[str], line: str) -> None:
    assert console.betas_line(values) == f"[proxy] beta headers: {line}"


@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_a_beta_can_not_steer_the_terminal(control: str) -> None:
    assert control not in console.betas_line([f"a{control}b"])
