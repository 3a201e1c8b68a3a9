from __future__ import annotations

import msgspec

from neurolink_mitm.core.logs.rows import request_row
from neurolink_mitm.core.response.usage import TokenUsage
from soak.evidence import RequestRow, Tokens
from tests.fakes import make_attempt, make_exchange


def test_a_row_of_the_journal_is_read_with_all_its_tokens() -> None:
    exchange = make_exchange(attempts=[make_attempt()], trace_id="t")
    exchange.reader.usage = TokenUsage("claude-x", None, 1, 2, 30, 4, cache_creation_1h_tokens=10)
    line = msgspec.json.encode(request_row(exchange))
    assert msgspec.json.decode(line, type=RequestRow).tokens == Tokens(1, 2, 4, 20, 10)
