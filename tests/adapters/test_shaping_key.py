from __future__ import annotations

import stat
from pathlib import Path

import pytest

from neurolink_mitm.adapters.shaping_key import LENGTH, read_key


def test_it_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "shaping.key"
    key = read_key(path)
    assert len(key) == LENGTH
    assert read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "no hex", "abcd"], ids=["empty", "text", "short"])
def test_a_broken_one_is_set_aside(tmp_path: Path, content: str) -> None:
    path = tmp_path / "shaping.key"
    path.write_text(content)
    assert len(read_key(path)) == LENGTH
    [aside] = tmp_path.glob("shaping.key.corrupt-*")
    assert aside.read_text() == content
