"""How an extra is installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from neurolink_mitm.adapters.extras import PACKAGES, how_to_install

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/me/.local/share/pipx/venvs/neurolink-mitm", "pipx inject neurolink-mitm keyring"),
        ("/home/me/.local/pipx/venvs/neurolink-mitm", "pipx inject neurolink-mitm keyring"),
        (
            "/home/me/.local/share/uv/tools/neurolink-mitm",
            "uv tool install --with keyring neurolink-mitm",
        ),
        ("/home/me/project/.venv", "pip install 'neurolink-mitm[keyring]'"),
    ],
    ids=["pipx", "pipx-before-1.3", "uv-tool", "environment"],
)
def test_by_the_way_it_was_installed_itself(prefix: str, command: str) -> None:
    assert how_to_install("keyring", prefix) == command


def test_the_packages_are_those_of_the_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = {
        extra: tuple(re.split("[><=]", each)[0] for each in packages)
        for extra, packages in extras.items()
    }
    assert named == PACKAGES
