from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.body import BodyIndex
from neurolink_mitm.core.shaping import strings

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def seen(request: dict[str, Any]) -> set[str]:
    """The strings that are looked at."""
    body = json.dumps(request).encode()
    regions = list(strings.regions(BodyIndex(body)))
    return {json.loads(body[each.start - 1 : each.end + 1])
            for region in regions for each in strings.texts(body, region)}  # fmt: skip


REQUEST: dict[str, Any] = {
    "model": "MODEL",
    "system": [{"type": "text", "text": "system", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "plain"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "THOUGHT", "signature": "SIGNATURE"},
            {"type": "redacted_thinking", "data": "REDACTED"},
            {"type": "text", "text": "said"},
            {"type": "tool_use", "id": "ID", "name": "tool", "input": {"id": "argument", "path": {"type": "t"}}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "ID", "content": [{"type": "text", "text": "result"}]},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "BASE64"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "document"}},
        ]},
    ],
    "tools": [{"name": "tool", "description": "what", "input_schema": {"properties": {"path": {"title": "t"}}}}],
    "metadata": {"user_id": "user"},
}  # fmt: skip


def test_words_and_not_what_the_api_reads() -> None:
    assert seen(REQUEST) == {
        "system", "plain", "said", "tool", "id", "argument", "path", "type", "t", "result", "document",
        "what", "properties", "title", "user",
    }  # fmt: skip


def test_a_system_prompt_may_be_a_text() -> None:
    assert seen({"system": "one", "messages": []}) == {"one"}


@given(TEXT, st.booleans(), st.data())
def test_a_place_in_a_string_is_found_in_what_is_written(
    text: str, ascii_only: bool, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(text)))
    raw = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    place = strings.Written(raw).place(at)
    encoded = raw.encode()
    assert json.loads(b'"' + encoded[:place] + b'"') == text[:at]
    assert json.loads(b'"' + encoded[place:] + b'"') == text[at:]


@pytest.mark.parametrize("written", ["\\/a", "\\\\a", "\\u0041a", "\\ud83d\\ude00a"])
def test_other_ways_to_write(written: str) -> None:
    assert written[strings.Written(written).place(1) :] == "a"


def test_every_region_is_in_the_body_once() -> None:
    body = json.dumps(REQUEST).encode()
    found = sorted(strings.regions(BodyIndex(body)), key=lambda each: each.start)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert spans.root(body).end >= found[-1].end
