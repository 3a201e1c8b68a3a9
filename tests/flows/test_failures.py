"""The rows of the failure policy are complete, and the page made from them is fresh."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from neurolink_mitm.core.failover.errors import FAILURE_RULES, Failure, FailureStage, classify
from neurolink_mitm.core.request.endpoints import endpoint_of, is_inference
from tests.flows.failures import ROWS, Row, page


def test_every_rule_of_an_error_status_has_a_row() -> None:
    hit = {classify(failure(r)).name for r in ROWS if r.reply.status >= 400}
    assert hit >= {
        r.name
        for r in FAILURE_RULES
        if r.stage is FailureStage.STATUS and not r.refreshable and "[providers]" not in r.source
    }


def failure(row: Row) -> Failure:
    """What the proxy makes of such an answer."""
    reply = row.reply
    kinds = {400: "invalid_request_error", 429: "rate_limit_error"}
    kind = reply.error_type or kinds.get(reply.status, "api_error")
    error = {"type": "error", "error": {"type": kind, "message": reply.message or ""}}
    fields = tuple((k.encode(), v.encode()) for k, v in reply.headers.items() if v)
    said = reply.body or (b"<!DOCTYPE html>" if reply.html else json.dumps(error).encode())
    found = Failure.of_status(reply.status, said, fields)
    return replace(found, other_endpoint=not is_inference(endpoint_of(row.path)))


def test_page_is_fresh() -> None:
    written = (Path(__file__).parents[2] / "docs" / "failures.md").read_text()
    assert written == page(), "run: python -m tests.flows.failures > docs/failures.md"
