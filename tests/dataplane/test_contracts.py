"""The list of contracts with mitmproxy (`dataplane/compat.py`) is that of the code, and holds on this mitmproxy."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from neurolink_mitm import addons, app, dataplane
from neurolink_mitm.dataplane.compat import CONTRACTS

TESTS = Path(__file__).parents[1]
MODULES = [
    importlib.import_module(each.name)
    for package in (dataplane, addons, app)
    for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]
TREES = [ast.parse(inspect.getsource(module)) for module in MODULES]
NODES = [node for tree in TREES for node in ast.walk(tree)]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_modules() -> Iterator[str]:
    for node in NODES:
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if module.startswith("mitmproxy.") and "._" in module:
            yield module


def overrides(module: ModuleType) -> Iterator[str]:
    """The methods of mitmproxy that a class of `module` has in its own form."""
    classes = [each for each in vars(module).values() if isinstance(each, type)]
    for ours in (each for each in classes if each.__module__ == module.__name__):
        for name in vars(ours):
            bases = [base for base in ours.__mro__[1:] if name in vars(base)]
            theirs = bases and bases[0].__module__.startswith("mitmproxy.")
            if theirs and not name.startswith(("__", "_abc")):
                yield f"{bases[0].__module__}.{bases[0].__qualname__}.{name}"


def private_names() -> set[str]:
    """Attributes with an underscore that no code of ours makes."""
    used = {node.attr for node in NODES if isinstance(node, ast.Attribute)}
    stored = {
        node.attr
        for node in NODES
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    made = {node.name for node in NODES if isinstance(node, functions)}
    named = {n.id for n in NODES if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return {name for name in used if is_private(name)} - stored - made - named


def test_every_private_module_is_listed() -> None:
    assert {name.removeprefix("mitmproxy.") for name in private_modules()} <= CONTRACTS.keys()


def test_every_override_is_listed() -> None:
    names = {name for module in MODULES for name in overrides(module)}
    assert {name.removeprefix("mitmproxy.") for name in names} <= CONTRACTS.keys()


def test_every_private_name_is_listed() -> None:
    assert private_names() <= {name.rpartition(".")[2] for name in CONTRACTS}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_this_mitmproxy_has_it(contract: str) -> None:
    """As a module, a name of one, an attribute of a class, or one that its methods set."""
    parts = ["mitmproxy", *contract.split(".")]
    depth = next(n for n in range(len(parts), 0, -1) if is_module(".".join(parts[:n])))
    found: object = importlib.import_module(".".join(parts[:depth]))
    for name in parts[depth:]:
        if not hasattr(found, name):
            assert isinstance(found, type)
            assert f"self.{name}" in inspect.getsource(found) or name in found.__annotations__
            return
        found = getattr(found, name)


def is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    return True


def test_each_has_its_test() -> None:
    code = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert [test for test in CONTRACTS.values() if f"def {test}(" not in code] == []
