"""That plain pip, as old as the one that Python 3.11 brings along, can install what the locks name."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distributions, requires
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


IMAGES = ["deploy/requirements-full.lock", "deploy/requirements-slim.lock"]


def pins(name: str) -> dict[str, set[str]]:
    """Package names, and the versions that they are locked at: several where platforms differ."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)\S*==([^\s;]+)", (TOP / name).read_text(), re.M):
        versions.setdefault(canonicalize_name(package), set()).add(version)
    return versions


def closure(wanted: Iterable[str], left_out: Iterable[str] = ()) -> set[str]:
    """Return the names of all packages that these need here, as the installed ones say; without `left_out`."""
    reached: dict[tuple[str, str], None] = {}
    todo = [Requirement(each) for each in wanted]
    while todo:
        each = todo.pop()
        name = canonicalize_name(each.name)
        for extra in each.extras | {""}:
            marker = each.marker is None or each.marker.evaluate({"extra": ""})
            if name in left_out or not marker or (name, extra) in reached:
                continue
            reached[name, extra] = None
            try:
                needs = [Requirement(need) for need in requires(name) or ()]
            except PackageNotFoundError:
                continue
            for need in needs:
                if need.marker is None or need.marker.evaluate({"extra": extra}):
                    need.marker = None
                    todo.append(need)
    return {name for name, _ in reached}


@pytest.mark.parametrize("lock", IMAGES)
def test_an_image_has_the_versions_that_were_tested(lock: str) -> None:
    tested = pins("requirements-dev.lock")
    assert {name: p for name, p in pins(lock).items() if not p <= tested.get(name, set())} == {}


@pytest.mark.parametrize("lock", IMAGES)
def test_every_package_of_an_image_has_its_hashes(lock: str) -> None:
    entries = re.split(r"^(?=[\w.-]+(?:\[[\w,.-]+\])?==)", (TOP / lock).read_text(), flags=re.M)
    assert [each.partition(" ")[0] for each in entries[1:] if "--hash=sha256:" not in each] == []


@pytest.mark.skipif(sys.version_info[:2] != (3, 13), reason="the images have Python 3.13")
@pytest.mark.parametrize("lock", IMAGES)
def test_an_image_has_what_is_needed_and_no_more(lock: str) -> None:
    """`make lock` writes it; a dependency that was added by hand in one place only is found here."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    without = (TOP / "deploy" / "not-in-slim.txt").read_text().splitlines()
    left_out = [each for each in without if "slim" in lock and not each.startswith("#")]
    assert pins(lock).keys() == closure(wanted, left_out)
