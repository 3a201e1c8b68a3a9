"""What tells a newcomer where things are (docstrings of packages, docs/architecture.md) is compared with the code."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from itertools import groupby
from pathlib import Path

import pytest

import neurolink_mitm.addons
from neurolink_mitm.stack import stack
from tests.fakes import make_runtime
from tests.test_docs import ROOT, first_cells, section

PACKAGE = ROOT / "neurolink_mitm"

HOOKS = (
    "requestheaders", "request", "attempt", "attempt_failed", "hold",
    "responseheaders", "response_complete", "response", "error",
)  # fmt: skip
"""Those of a request, in the order in which they come."""


def hooks_of_addons() -> str:
    """A line a hook, with the addons that have it in the order of the stack; hooks with the same ones share a line."""
    addons = [type(addon) for addon in stack(make_runtime())]

    def having(hook: str) -> str:
        names = [each.__module__.rpartition(".")[2] for each in addons if hasattr(each, hook)]
        return " · ".join(names)

    lines = groupby(HOOKS, key=having)
    return "\n".join(f"{', '.join(hooks):22} {names}" for names, hooks in lines)


def test_the_list_of_hooks_is_that_of_the_stack() -> None:
    written = re.sub(r"\n {20,}", " ", inspect.getdoc(neurolink_mitm.addons) or "")
    block = "\n".join(re.findall(r"^    (\S.*)$", written, re.MULTILINE))
    assert block == hooks_of_addons()


def test_the_script_of_mitmproxy_is_the_stack() -> None:
    """A copy would be left behind: `mitmdump -s` would run the addons of long ago."""
    script = ROOT / "addons" / "neurolink.py"
    assert script.is_symlink()
    assert script.resolve() == PACKAGE / "stack.py"


PACKAGES = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))


def name_of(folder: Path) -> str:
    """As pages write it: `core/pool/`; empty for the package itself."""
    return "" if folder == PACKAGE else f"{folder.relative_to(PACKAGE).as_posix()}/"


def exists(name: str, folder: Path) -> bool:
    """Whether a name of a docstring is a module, a folder or a file, seen from `folder` or the package's top."""
    path = name.replace(".", "/") if re.fullmatch(r"[a-z_.]+", name) and "/" not in name else name
    places = (folder, PACKAGE, ROOT)
    return any((at / each).exists() for at in places for each in (path, f"{path}.py", name))


@pytest.mark.parametrize("folder", PACKAGES, ids=name_of)
def test_a_package_says_what_lives_there(folder: Path) -> None:
    """In its docstring; what it names there in backticks is a module, a file, or a name of the code in the folder."""
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    assert text, f"{name_of(folder)}__init__.py has no docstring"
    code = "\n".join(
        path.read_text() for path in folder.rglob("*.py") if path.name != "__init__.py"
    )
    named = re.findall(r"`(\w[\w./-]*)`", text)
    assert [n for n in named if not exists(n, folder) and not re.search(rf"\b{n}\b", code)] == []


def test_every_folder_is_in_the_architecture() -> None:
    """In the table of folders, by its path, and no folder that is not there."""
    listed = first_cells(section("architecture.md", "Where things live"))
    folders = {name_of(folder) for folder in PACKAGES} - {""}
    assert sorted(name for name in listed if name.endswith("/")) == sorted(folders)
    assert [name for name in listed if not (PACKAGE / name).exists()] == []


def test_the_layers_are_those_of_the_contract() -> None:
    """The line of the architecture, from the top down, is that of import-linter."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [
        each["layers"] for each in contracts if each.get("containers") == ["neurolink_mitm"]
    ]
    lines = [re.findall(r"\w+", line) for line in layers if "__main__" not in line]
    block = (
        section("architecture.md", "Where things live").partition("```\n")[2].partition("```")[0]
    )
    assert [sorted(re.findall(r"\w+", line)) for line in block.splitlines()] == [
        *map(sorted, lines)
    ]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md"])
def test_every_path_of_a_signpost_exists(page: str) -> None:
    """In backticks, with a slash or the end of a source file; capitals stand for names."""
    named = re.findall(
        r"`([\w.-]+(?:/[\w.-]*)+|[\w.-]+\.(?:py|md|toml|lock))`", (ROOT / page).read_text()
    )
    paths = [name for name in named if not re.search(r"[A-Z]{4}", name.replace("README", ""))]
    assert [name for name in paths if not any((at / name).exists() for at in (ROOT, PACKAGE))] == []
