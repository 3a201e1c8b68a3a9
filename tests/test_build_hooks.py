from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hatch_build import absolute

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://example.com/r"


@pytest.mark.parametrize(
    ("link", "whole"),
    [
        ("[a](docs/a.md#b)", f"[a]({REPOSITORY}/blob/main/docs/a.md#b)"),
        ("![a](docs/a.png)", f"![a]({REPOSITORY}/raw/main/docs/a.png)"),
        ("[a](https://a.example)", "[a](https://a.example)"),
        ("[a](#b)", "[a](#b)"),
    ],
)
def test_links_are_whole_on_pypi(link: str, whole: str) -> None:
    assert absolute(f"see {link}.", REPOSITORY) == f"see {whole}."


def test_one_place_names_the_repository() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    repository = project["urls"]["Repository"]
    assert all(url.startswith(repository) for url in project["urls"].values())
    text = absolute((ROOT / "README.md").read_text(), repository)
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", text) == []
