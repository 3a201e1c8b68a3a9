"""Rows of the logs as a replay reads them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.records.recorder import Recorder
from neurolink_mitm.records.recording import Recording
from tests.fakes import NOW

Row = dict[str, object]
LIMITED_FOR_60: Row = {
    "responseStatus": 429,
    "errorType": "rate_limit_error",
    "cooldownMs": 60_000.0,
    "retryAfter": 60.0,
}


def attempt(request: str, at: float, account: str | None, **changes: object) -> Row:
    """An attempt on an API key `at` seconds after NOW, answered at once."""
    return {
        "timestamp": iso(NOW + at),
        "requestId": request,
        "attempt": 1,
        "account": account,
        "accountType": "api_key",
        "provider": "anthropic",
        "responseStatus": 200,
        "errorType": None,
        "durationMs": 0.0,
        "cooldownMs": 0.0,
        "backoffLevel": 0,
        "retryAfter": None,
        "upstreamRequestId": None,
    } | changes


def asked(request: str, at: float, account: str | None, **changes: object) -> Row:
    """A finished request for Opus, that an API key answered for a dollar."""
    return {
        "timestamp": iso(NOW + at),
        "requestId": request,
        "path": "/v1/messages",
        "model": "claude-opus-4-6",
        "provider": "anthropic" if account else None,
        "account": account,
        "accountType": "api_key" if account else None,
        "responseStatus": 200,
        "outcome": "complete",
        "costUsd": 1.0,
        "why": "",
    } | changes


def recording(attempts: Sequence[Row], requests: Sequence[Row] = ()) -> Recording:
    recorder = Recorder()
    recorder.take_requests(map(msgspec.json.encode, requests))
    recorder.take_attempts(map(msgspec.json.encode, attempts))
    return recorder.finish()
