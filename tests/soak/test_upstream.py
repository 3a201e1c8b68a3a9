from __future__ import annotations

import pytest

from soak.upstream import told_usage


@pytest.mark.parametrize(
    "said",
    [
        b'event: message_start\ndata: {"message":{"usage":{"input_tokens":1}}}\n\n',
        b'event: message_delta\ndata: {"usage":{"input_tokens":1}}\n\n',
        b'{"type":"message","usage":{"input_tokens":1}}',
    ],
    ids=["start", "end", "whole"],
)
def test_what_an_answer_tells(said: bytes) -> None:
    assert told_usage(said) == {"input_tokens": 1}


def test_most_of_a_stream_tells_nothing() -> None:
    assert told_usage(b'event: ping\ndata: {"type":"ping"}\n\n') is None
    assert told_usage(b'{"type":"error","error":{}}') is None


def test_a_part_of_an_answer_is_told_from_a_whole_one() -> None:
    with pytest.raises(ValueError, match="Unterminated"):
        told_usage(b'{"type":"message","usa')
