from __future__ import annotations

from dataclasses import replace

from neurolink_mitm.core.shaping.outgoing import differences
from tests.core.shaping.drafts import draft

BEFORE = draft({"a": 1, "b": ["é", 2]}, {"via": "x", "user-agent": "y"})


def test_values_and_headers_by_lines() -> None:
    after = replace(BEFORE, fields=BEFORE.fields[1:], body=b'{"a":1,"b":["\xc3\xa9",3]}')
    changed = [line for line in differences(BEFORE, after)[2:] if line[0] in "+-"]
    assert changed == ["-via: x", "-    2", "+    3"]


def test_nothing_changed_is_no_line() -> None:
    assert differences(BEFORE, BEFORE) == []


def test_what_is_no_json_is_shown_as_it_is() -> None:
    assert "+text" in differences(BEFORE, draft(b"text"))
