"""Wordings are tabled in tests/core/failover/test_errors.py; here is what hostile bodies cost."""

from __future__ import annotations

import time

import pytest

from neurolink_mitm.core.response.error_text import LONGEST, is_page, read_error, wording

HOSTILE = [
    "\\",
    "\\u0060",
    "\\n`",
    "`",
    "<!-- -->",
    "<!--",
    "<!-- <",
    " <",
    "\ufeff",
    "\n",
    '\\\\"',
]


@pytest.mark.parametrize("part", HOSTILE)
def test_no_body_takes_longer_than_its_beginning(part: str) -> None:
    """What is looked at is bounded, and looking takes no more steps than it has characters."""
    body = (part * 4_000_000)[:8_000_000].encode()
    began = time.process_time()
    wording.__wrapped__(part * 100_000, body)
    is_page(body)
    assert time.process_time() - began < 0.02


def test_a_message_is_cut_before_anybody_searches_it() -> None:
    body = b'{"error":{"type":"x","message":"' + b"a" * 100_000 + b'"}}'
    assert read_error(body) == ("x", "a" * LONGEST)
