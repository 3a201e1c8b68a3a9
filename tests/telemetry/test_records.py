"""What is told of one request; tests/flows/test_telemetry.py has the rest."""

from __future__ import annotations

from typing import Any

import pytest

from neurolink_mitm.core.exchange import Exchange, Kind, Outcome
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.openai.api import Api
from neurolink_mitm.core.providers.destinations import Route
from neurolink_mitm.core.request.trace_context import Caller
from neurolink_mitm.core.response.reader import OpaqueReader
from neurolink_mitm.core.response.usage import TokenUsage
from neurolink_mitm.telemetry.records import LONGEST, Finished, error_type, finished
from tests.fakes import NOW, make_account, make_attempt, make_exchange, make_other

LIMITED = Failure.of_status(429, b'{"error":{"type":"rate_limit_error","message":"slow down"}}')
FAILED = make_attempt(make_account("home"), status=429, failure=LIMITED, ended_at=NOW + 1)


def ended(**changes: Any) -> Exchange:
    settings = {
        "kind": Kind.MESSAGES,
        "path": "/v1/messages?beta=true",
        "model": "claude-x",
        "trace_id": "f" * 32,
        "span_id": "e" * 16,
        "attempts": [make_attempt(make_account(), status=200, ended_at=NOW + 2)],
        "reader": OpaqueReader(TokenUsage("claude-x-1", "end_turn", 1, 2, 3, 4)),
        "outcome": Outcome.COMPLETE,
        "status": 200,
        "ended_at": NOW + 2,
        **changes,
    }
    return make_exchange(**settings)


def told(**changes: Any) -> Finished:
    exchange = ended(**changes)
    return finished(exchange, [f"{n:016x}" for n, _ in enumerate(exchange.attempts, 1)])


def test_spans_have_their_places() -> None:
    caller = Caller("f" * 32, "d" * 16, sampled=True)
    request = told(caller=caller)
    assert (request.caller, request.trace_id) == (caller, "f" * 32)
    assert (request.request.span_id, request.attempts[0].span_id) == ("e" * 16, f"{1:016x}")
    assert (request.request.began_at, request.request.ended_at) == (NOW, NOW + 2)


def test_tokens_are_told_once() -> None:
    request = told()
    assert request.request.attributes["gen_ai.usage.output_tokens"] == 2
    assert request.request.attributes["gen_ai.usage.cache_read.input_tokens"] == 4
    assert "gen_ai.usage.output_tokens" not in request.attempts[0].attributes


@pytest.mark.parametrize(
    ("api", "operation"), [(Api.CHAT, "chat"), (Api.EMBEDDINGS, "embeddings")], ids=str
)
def test_the_clients_api_is_told(api: Api, operation: str) -> None:
    """Attempts name the operation only: the API that upstream is asked by is another."""
    request = told(api=api)
    assert request.request.attributes["neurolink.api"] == api
    assert request.log.attributes["api"] == api
    assert request.attempts[0].attributes["gen_ai.operation.name"] == operation
    assert "neurolink.api" not in request.attempts[0].attributes


def test_a_refused_chat_has_its_route() -> None:
    refused = told(kind=Kind.API, path="/v1/chat/completions?x=1", api=Api.CHAT, attempts=[])
    assert refused.request.name == "POST /v1/chat/completions"


def test_an_attempt_says_where_it_went() -> None:
    account = make_account(base_url="https://api.example:8443")
    attributes = told(attempts=[make_attempt(account)]).attempts[0].attributes
    assert (attributes["server.address"], attributes["server.port"]) == ("api.example", 8443)


def test_an_attempt_says_how_long_it_took_to_be_connected_and_answered() -> None:
    new = make_attempt(make_account(), connect_seconds=0.02, tls_seconds=0.05, wait_seconds=0.9)
    reused = make_attempt(make_account(), reused=True)  # and no byte came
    names = ("connect_ms", "tls_ms", "wait_ms", "reused")
    spans = told(attempts=[new, reused]).attempts
    told_of = [[span.attributes.get(f"neurolink.{name}") for name in names] for span in spans]
    assert told_of == [[20.0, 50.0, 900.0, False], [0.0, 0.0, None, True]]


def test_an_attempt_that_never_ended_ends_with_the_request() -> None:
    assert told(attempts=[make_attempt(make_account())]).attempts[0].ended_at == NOW + 2


def test_other_providers_have_the_conventions_names() -> None:
    other = make_attempt(make_other("google-ai", "gemini-x"), status=200)
    request = told(attempts=[FAILED, other])
    attributes = request.attempts[1].attributes
    assert attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert attributes["gen_ai.request.model"] == "gemini-x"
    assert request.request.attributes["gen_ai.request.model"] == "claude-x"


def test_an_attempt_asks_for_a_mapped_model() -> None:
    request = told(route=Route("a mapping", "claude-y"))
    assert request.attempts[0].attributes["gen_ai.request.model"] == "claude-y"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"outcome": Outcome.CANCELLED}, None),
        ({"outcome": Outcome.TRUNCATED}, "truncated"),
        ({"outcome": Outcome.ERROR, "status": 429, "attempts": [FAILED]}, "rate_limit_error"),
        ({"outcome": Outcome.ERROR, "status": 403, "attempts": []}, "403"),
        ({"outcome": Outcome.ERROR, "status": None, "attempts": []}, "error"),
    ],
    ids=["answered", "cancelled", "truncated", "upstream", "refused", "nothing"],
)
def test_why_it_was_not_answered(changes: dict[str, Any], expected: str | None) -> None:
    exchange = ended(**changes)
    assert error_type(exchange) == expected
    assert told(**changes).request.error == expected


@pytest.mark.parametrize(("status", "severity"), [(429, "WARN"), (502, "ERROR"), (None, "ERROR")])
def test_a_log_is_as_severe_as_the_answer(status: int | None, severity: str) -> None:
    assert told().log.severity == "INFO"
    assert told(outcome=Outcome.ERROR, status=status, attempts=[]).log.severity == severity


@pytest.mark.parametrize(
    ("kind", "path", "name"),
    [
        (Kind.MESSAGES, "/v1/messages?beta=true", "POST /v1/messages"),
        (Kind.API, "/v1/files/file_123", "POST /v1/*"),
        (Kind.FORWARD, "/api/hello", "POST /*"),
        (None, "/x", "POST /*"),
    ],
)
def test_names_of_spans_are_few(kind: Kind | None, path: str, name: str) -> None:
    assert told(kind=kind, path=path).request.name == name


def test_only_models_speak_of_models() -> None:
    names = told(kind=Kind.API, path="/v1/files", model=None).request.attributes
    assert "gen_ai.system" not in names


@pytest.mark.parametrize("kind", [Kind.LOCAL, Kind.API])
def test_only_models_have_the_conventions_metrics(kind: Kind) -> None:
    assert {point.metric for point in told().points} == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.token.usage",
    }
    assert told(kind=kind, path="/status").points == ()


def every_text(request: Finished) -> str:
    return repr((request.request, request.attempts, request.points, request.log))


def test_keys_are_starred_wherever_they_stand() -> None:
    key = "sk-ant-test-secret"
    request = told(
        model=f"claude-{key}",
        path=f"/v1/messages?api_key={key}",
        session_id=key,
        why=f"because of {key}",
        reader=OpaqueReader(TokenUsage(key, key)),
        attempts=[make_attempt(make_account(), upstream_request_id=key)],
    )
    assert key not in every_text(request)


def test_any_byte_of_a_path_is_text() -> None:
    every_text(told(path="/v1/\udcff")).encode()
    assert told(kind=Kind.API, path="/v1/\udcff").log.text == "POST /v1/\\udcff 200 complete"


def test_no_value_is_endless() -> None:
    attributes = told(why="x" * 100_000).request.attributes
    assert attributes["neurolink.why"] == "x" * LONGEST
