"""Build hooks: the README for PyPI, where links into the repository have to be whole; more pages in the wheel.

The repository's address stands in pyproject.toml alone, under `project.urls`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!https?:|#)([^)]+)\)")


def absolute(text: str, repository: str) -> str:
    """The Markdown with links into the repository made whole: pages by `blob`, pictures by `raw`."""

    def whole(match: re.Match[str]) -> str:
        image, name, target = match.groups()
        return f"{image}{name}({repository}/{'raw' if image else 'blob'}/main/{target})"

    return LINK.sub(whole, text)


class Readme(MetadataHookInterface):
    """Gives the project's metadata its long description."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text("utf-8")
        whole = absolute(text, metadata["urls"]["Repository"])
        metadata["readme"] = {"content-type": "text/markdown", "text": whole}


class Pages(BuildHookInterface):  # type: ignore[type-arg]
    """Lays pages that are not in `docs/` beside those that are; an editable install reads the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            pages = ("README.md", "CHANGELOG.md")
            build_data["force_include"] |= {name: f"neurolink_mitm/docs/{name}" for name in pages}
