"""ASGI responses with the headers of Anthropic's: request id, organisation, rate limits.

API keys have the classic rate-limit headers, subscriptions the `unified` ones that Claude Code reads.
https://docs.anthropic.com/en/api/rate-limits#response-headers
"""

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from neurolink_mitm.sandbox.accounts import Account, Reply
from neurolink_mitm.sandbox.content import JSON, Content
from neurolink_mitm.sandbox.errors import error_body, type_of
from neurolink_mitm.sandbox.playback import Head, Playback, acts
from neurolink_mitm.sandbox.recorder import Received
from neurolink_mitm.sandbox.state import Sandbox

Headers = dict[str, str]

ORGANIZATION = "5a4d0b0c-0000-4000-8000-000000000001"
ECHO = "x-sandbox-echo"
"""Asks for this header in the response: SHA-256 of the body and headers, as they came. No request of users has it."""
PACE = "x-sandbox-event-delay"
"""Asks for a pause of so many seconds, at most 1, between two events."""
CLOUDFLARE = {"server": "cloudflare", "cf-ray": "8f2c0d1e2b3a4f5d-FRA"}
CLASSIC = {"requests": 1000, "tokens": 500_000, "input-tokens": 400_000, "output-tokens": 100_000}
WINDOWS = {"5h": 5 * 3600, "7d": 7 * 86400}


def received(request: Request) -> Received:
    """Return the record that `recorder.Recording` made of the request."""
    record: Received = request.state.received
    return record


def played(sandbox: Sandbox, request: Received, reply: Reply, content: Content) -> Playback:
    """Return a response that plays `reply` with the bytes of `content`."""
    reply = _paced(reply, request)
    headers = {"content-type": content.type, **_echo(request)}
    if content.length is not None:
        headers["content-length"] = str(content.length)
    else:
        headers["cache-control"] = "no-cache"
    # Cloudflare answers with a page instead of the API, so the API's headers are missing
    wait = reply.headers.get("retry-after")
    headers |= CLOUDFLARE if reply.html else _usual(sandbox, request, content.status, wait)
    headers |= {name.lower(): value for name, value in reply.headers.items()}
    raw = [(k.encode("latin-1"), v.encode("latin-1")) for k, v in headers.items() if v]
    return Playback(acts(reply, Head(content.status, raw), content), request, sandbox.recorder)


def _paced(reply: Reply, request: Received) -> Reply:
    with suppress(ValueError):
        return replace(reply, event_delay=min(1.0, float(request.header(PACE) or "")))
    return reply


def _echo(request: Received) -> Headers:
    if request.header(ECHO) is None:
        return {}
    named = [(k, v) for k, v in request.headers if k.startswith(("anthropic-", "x-claude-code-"))]
    got = {"sha256": hashlib.sha256(request.body).hexdigest(), "headers": dict(named)}
    return {ECHO: json.dumps(got)}


def refusal(sandbox: Sandbox, request: Received, status: int, message: str) -> Response:
    """Return an error response that no script asked for."""
    body = error_body(type_of(status), message, request.request_id)
    return Response(body, status, _usual(sandbox, request, status), media_type=JSON)


def _usual(
    sandbox: Sandbox, request: Received, status: int, retry_after: str | None = None
) -> Headers:
    headers = {"request-id": request.request_id, "anthropic-organization-id": ORGANIZATION}
    if request.account is not None:
        account = sandbox.account(request.account)
        headers |= rate_limit_headers(account, status == 429, sandbox.clock(), retry_after)
    return headers


def rate_limit_headers(
    account: Account, limited: bool, now: float, retry_after: str | None = None
) -> Headers:
    """Return the rate-limit headers of a response to `account`; `now` is in seconds since the epoch.

    The window of a subscription that is used up is reset when its `retry_after` says so, as Anthropic's is.
    """
    if account.kind != "oauth":
        return _classic(limited, now)
    reset_at = None
    if limited and retry_after and retry_after.isdecimal():
        reset_at = math.ceil(now + int(retry_after))
    return _unified(limited, now, reset_at)


def _classic(limited: bool, now: float) -> Headers:
    reset = datetime.fromtimestamp(now + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    headers = {}
    for name, limit in CLASSIC.items():
        headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
        headers[f"anthropic-ratelimit-{name}-remaining"] = str(0 if limited else limit - 1)
        headers[f"anthropic-ratelimit-{name}-reset"] = reset
    return headers


def _unified(limited: bool, now: float, reset_at: int | None) -> Headers:
    # windows start at fixed times, so that two answers name the same reset
    resets = {name: str(int(now // length + 1) * length) for name, length in WINDOWS.items()}
    if reset_at is not None:
        resets["5h"] = str(reset_at)
    headers = {
        "anthropic-ratelimit-unified-status": "rejected" if limited else "allowed",
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "anthropic-ratelimit-unified-fallback-percentage": "0.5",
        "anthropic-ratelimit-unified-overage-status": "rejected",
        "anthropic-ratelimit-unified-reset": resets["5h"],
    }
    for name, reset in resets.items():
        used_up = limited and name == "5h"
        headers[f"anthropic-ratelimit-unified-{name}-utilization"] = "1.0" if used_up else "0.12"
        headers[f"anthropic-ratelimit-unified-{name}-status"] = "rejected" if used_up else "allowed"
        headers[f"anthropic-ratelimit-unified-{name}-reset"] = reset
    return headers
