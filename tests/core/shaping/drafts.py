"""Requests for the tests of rewriters."""

from __future__ import annotations

import json
from typing import Any

from neurolink_mitm.core.exchange import Kind
from neurolink_mitm.core.shaping.outgoing import About, OutgoingRequest

UUID = "11111111-2222-3333-4444-555555555555"


def draft(
    body: object = None, fields: dict[str, str] | None = None, **about: Any
) -> OutgoingRequest:
    """Of a body in JSON, or as it is; by Claude Code, on a subscription."""
    raw = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    named = tuple((k.encode(), v.encode()) for k, v in (fields or {}).items())
    known = {"kind": Kind.MESSAGES, "account": "work", "account_uuid": UUID, **about}
    return OutgoingRequest(About(**known), named, raw)
