from __future__ import annotations

from neurolink_mitm.core.openai.cache import mark_turns, marked
from neurolink_mitm.core.openai.turns import Turn

MARK = b'"cache_control":{"type":"ephemeral"}'


def test_the_last_item_is_marked() -> None:
    assert marked([b'{"a":1}', b'{"a":2}']) == [b'{"a":1}', b'{"a":2,%b}' % MARK]
    assert marked([]) == []


def test_the_last_two_turns_of_the_user_are_marked_so_that_the_next_request_finds_one() -> None:
    turns = [
        Turn(role, [b'{"a":1}']) for role in ("user", "assistant", "user", "assistant", "user")
    ]
    mark_turns(turns)
    assert [MARK in turn.blocks[-1] for turn in turns] == [False, False, True, False, True]
