from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.openai.responses.reasoning import encrypted_content, thinking_block

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
THINKING = st.fixed_dictionaries(
    {"type": st.just("thinking"), "thinking": TEXTS, "signature": TEXTS}
)
REDACTED = st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": TEXTS})


@settings(max_examples=50)
@given(THINKING | REDACTED)
def test_a_block_comes_back_as_it_was(block: dict[str, str]) -> None:
    text = encrypted_content(json.dumps(block).encode())
    assert text.isascii()
    assert json.loads(thinking_block(text) or b"null") == block


WHOLE = encrypted_content(b'{"type":"thinking","thinking":"so","signature":"sig"}')


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("gAAAAABopenai", id="OpenAI's"),
        pytest.param("nl1.", id="nothing behind the mark"),
        pytest.param("nl1.é", id="not ASCII"),
        pytest.param("nl1.////", id="no JSON"),
        pytest.param(WHOLE[:-1], id="cut"),
        pytest.param(WHOLE[:-8], id="cut at a whole byte"),
        pytest.param(WHOLE + "*", id="no Base64"),
        pytest.param(encrypted_content(b'{"type":"text","text":"x"}'), id="another block"),
        pytest.param(encrypted_content(b'{"type":"thinking","thinking":5}'), id="another type"),
        pytest.param("nl1." + base64.b64encode(b"\xff").decode(), id="not UTF-8"),
    ],
)
def test_what_is_not_ours_or_not_whole_is_none(text: str) -> None:
    assert thinking_block(text) is None
