"""That plain pip, as old as the one that Python 3.11 brings along, can install what the locks name."""

from __future__ import annotations

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[1]
LOCKED = re.compile(r"^([\w.-]+)(?:\[([\w,.-]+)\])?==", re.MULTILINE)


def locked(name: str) -> dict[str, set[str]]:
    """Package names, and the extras that they are locked with."""
    found = LOCKED.findall((TOP / name).read_text())
    return {
        canonicalize_name(package): set(filter(None, extras.split(",")))
        for package, extras in found
    }


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_what_a_package_wants_with_an_extra_is_locked_with_it(lock: str) -> None:
    """pip 23 takes `coverage[toml]` for another package than `coverage`: one without a version, and refuses it."""
    packages = locked(lock)
    wanted = {
        (canonicalize_name(each.name), extra)
        for distribution in distributions()
        if canonicalize_name(distribution.name) in packages
        for each in map(Requirement, distribution.requires or ())
        if each.marker is None or each.marker.evaluate({"extra": ""})
        for extra in each.extras
    }
    assert [
        f"{name}[{extra}]" for name, extra in sorted(wanted) if extra not in packages.get(name, ())
    ] == []
