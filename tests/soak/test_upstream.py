from __future__ import annotations

import pytest

from soak.upstream import usage_in


@pytest.mark.parametrize(
    "data",
    [
        b'event: message_start\ndata: {"message":{"usage":{"input_tokens":1}}}\n\n',
        b'event: message_delta\ndata: {"usage":{"input_tokens":1}}\n\n',
        b'{"type":"message","usage":{"input_tokens":1}}',
    ],
    ids=["start", "end", "whole"],
)
def test_what_an_answer_tells(data: bytes) -> None:
    assert usage_in(data) == {"input_tokens": 1}


def test_most_of_a_stream_tells_nothing() -> None:
    assert usage_in(b'event: ping\ndata: {"type":"ping"}\n\n') is None
    assert usage_in(b'{"type":"error","error":{}}') is None


def test_a_part_of_an_answer_is_told_from_a_whole_one() -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        usage_in(b'{"type":"message","usa')
