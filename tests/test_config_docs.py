"""The configuration's schema and reference are those of the code, and fit the examples."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from neurolink_mitm.config.schema import entries
from tests.test_configs import switched_on

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
STALE = "run: .venv/bin/python tools/config-docs"
EXAMPLES = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "tools" / "config-docs"))


def test_the_schemas_are_fresh(tool: dict[str, Any]) -> None:
    for path in tool["SCHEMAS"]:
        assert path.read_text() == tool["schema_text"](), STALE


def test_the_table_of_keys_is_fresh(tool: dict[str, Any]) -> None:
    assert PAGE.read_text() == tool["page"](PAGE.read_text()), STALE


def test_every_key_is_mentioned() -> None:
    page = PAGE.read_text()
    missing = [e.path for e in entries() if f"`{e.path}`" not in page]
    assert missing == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("change", [str, switched_on], ids=["as it is", "all switched on"])
def test_the_examples_fit_the_schema(path: Path, change: Any) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / "proxy-config.schema.json").read_text())
    document = yaml.safe_load(change(path.read_text()))
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(document)) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_name_the_schema(path: Path) -> None:
    named = re.match(r"# yaml-language-server: \$schema=(.+)\n", path.read_text())
    assert named
    assert (path.parent / named[1]).is_file()
