from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.accounts.imports.entries import SourceError
from neurolink_mitm.accounts.imports.files import LARGEST, content, json_object, parsed, yaml_object
from tests.linear import assert_linear, repeated


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def test_json_with_comments_and_last_commas_is_read(path: Path) -> None:
    path.write_text('\ufeff{ // a "comment"\n "a": "// no /* comment */", /* x */ "b": [1, 2,],}')
    assert json_object(path) == {"a": "// no /* comment */", "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not JSON"),
        ("{a: 1}", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"their secret"', "is not JSON"),
        ("9" * 5000, "is not JSON"),
    ],
    ids=["empty", "keys", "list", "deep", "cut", "long number"],
)
def test_what_is_no_object_is_one_error(path: Path, text: str, fault: str) -> None:
    path.write_text(text)
    with pytest.raises(SourceError, match=fault) as caught:
        json_object(path)
    assert "their secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "is not a mapping"),
        ("[" * 60, "nested too deeply"),
        ("a: &x 1\nb: *x", "aliases"),
        ("!!python/object/apply:os.system [ls]", "is not YAML"),
        ("a: 2024-99-99", "is not YAML"),
    ],
    ids=["cut", "list", "deep", "aliases", "object", "date"],
)
def test_yaml_is_read_within_bounds(path: Path, text: str, fault: str) -> None:
    path.write_text(text)
    with pytest.raises(SourceError, match=fault):
        yaml_object(path)


def test_yaml_is_a_mapping(path: Path) -> None:
    path.write_text("1: a\nb: {c: 2}")
    assert yaml_object(path) == {"1": "a", "b": {"c": 2}}
    path.write_text("")
    assert yaml_object(path) == {}


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "huge", "binary", "loop"])
def test_what_is_no_text_file_is_one_error(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "huge":
        path.write_bytes(b" " * (LARGEST + 1))
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe")
    elif kind == "loop":
        path.symlink_to(path)
    with pytest.raises(SourceError, match=str(path)):
        content(path)


@pytest.mark.parametrize("unit", ['"', "/*", "//", ",", "/* *", "/*x", '"\\', ", "])
def test_comments_are_found_in_linear_time(unit: str) -> None:
    def read(text: str) -> None:
        with pytest.raises(SourceError):
            parsed(text, "x")

    assert_linear(read, repeated(unit))
