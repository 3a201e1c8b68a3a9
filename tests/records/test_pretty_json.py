from __future__ import annotations

import pytest

from neurolink_mitm.records.pretty_json import DEEPEST, LARGEST, pretty


def test_json_with_indents() -> None:
    assert pretty('{"a":[1,"]{"]}') == '{\n  "a": [\n    1,\n    "]{"\n  ]\n}'


DEEP = "[" * DEEPEST + "]" * DEEPEST


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 400_000, f"[{DEEP}]", f'["{"x" * LARGEST}"]', '"\\' * 200_000],
    ids=["empty", "torn", "open", "deep", "long", "quotes"],
)  # fmt: skip
def test_what_is_not_formatted(text: str) -> None:
    assert pretty(text) is None


def test_what_is_just_not_too_deep() -> None:
    assert pretty(DEEP)
