"""The check of files of others, whose manifests name their version, licence and SHA-256."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {"a.min.js": b"let a;", "a.LICENSE.txt": b"Do as you like."}


def faults(manifest: Path) -> list[str]:
    """What the tool finds; it is a script without the ending of a module."""
    loader = SourceFileLoader("vendored", str(ROOT / "tools" / "vendored"))
    spec = spec_from_loader("vendored", loader)
    assert spec
    loader.exec_module(tool := module_from_spec(spec))
    wrong: list[str] = tool.faults(manifest)
    return [each.removeprefix(f"{manifest.parent}/") for each in wrong]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A folder with a file of others, the text of its licence, and their manifest."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    rows = [
        {
            "file": name,
            "package": "a",
            "version": "1",
            "licence": "MIT",
            "licenceText": "a.LICENSE.txt",
            "sha256": sha256(content).hexdigest(),
        }
        for name, content in FILES.items()
    ]
    path = tmp_path / "vendored.json"
    path.write_text(json.dumps({"files": rows}))
    return path


def edit(manifest: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    rows = json.loads(manifest.read_text())["files"]
    change(rows)
    manifest.write_text(json.dumps({"files": rows}))


def test_the_files_of_a_manifest_are_good(manifest: Path) -> None:
    assert faults(manifest) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda at: (at / "a.min.js").write_bytes(b"evil"), "a.min.js: is not a 1, by its SHA-256"),
        (lambda at: (at / "a.min.js").unlink(), "a.min.js: is missing"),
        (lambda at: (at / "a.LICENSE.txt").write_bytes(b""), "a.LICENSE.txt: is not a 1, by its SHA-256"),
        (lambda at: (at / "b.min.css").touch(), "b.min.css: is not in vendored.json"),
        (lambda at: edit(at / "vendored.json", lambda rows: rows[0].pop("licenceText")),
         "a.min.js: the text of its licence (MIT) is not beside it"),
    ],
    ids=["changed", "missing", "licence", "unnamed", "no licence"],
)  # fmt: skip
def test_what_differs_from_a_manifest_is_reported(
    manifest: Path, change: Callable[[Path], object], fault: str
) -> None:
    change(manifest.parent)
    assert faults(manifest) == [fault]
