"""What a release consists of: built twice, in different places, by different users, it is the same."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 240.0

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(2 * LIMIT),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="a release is built of a commit"),
]


def build(place: Path, umask: int, *options: str, **variables: str) -> Path:
    """Build the release of a clone, as a user with these habits."""
    checkout = place / "checkout"
    place.mkdir()
    clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)]
    subprocess.run(clone, check=True, timeout=LIMIT, umask=umask)
    (checkout / "left-over.txt").write_text("not committed")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "dist", "--checkout", checkout, *options],
        env={**os.environ, **variables}, umask=umask, cwd=place,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "not committed" in done.stdout
    return checkout / "dist"


@pytest.fixture(scope="module")
def releases() -> Iterator[tuple[Path, Path]]:
    """Two of the same commit. Not where tests leave their files: those are searched for secrets, which tests hold."""
    with tempfile.TemporaryDirectory() as folder:
        one = build(Path(folder, "one"), 0o022, TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1")
        habits = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"}
        yield one, build(Path(folder, "another place"), 0o077, "--no-checks", **habits)


def test_it_is_the_same_whoever_builds_it(releases: tuple[Path, Path]) -> None:
    one, other = (
        {each.name: sha256(each.read_bytes()).hexdigest() for each in release.iterdir()}
        for release in releases
    )
    assert one == other


def test_its_checksums_are_those_of_all_its_files(releases: tuple[Path, Path]) -> None:
    release = releases[0]
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(check, cwd=release, check=True, timeout=LIMIT, capture_output=True)
    listed = {line.split()[1] for line in (release / "SHA256SUMS").read_text().splitlines()}
    assert listed == {each.name for each in release.iterdir()} - {"SHA256SUMS"}
    assert {Path(each).suffix for each in listed} == {".whl", ".gz", ".json", ".lock"}


@pytest.mark.parametrize(
    ("bill", "lock"),
    [
        ("", "requirements.lock"),
        ("-image-full", "requirements-full.lock"),
        ("-image-slim", "requirements-slim.lock"),
    ],
)
def test_a_bill_of_materials_names_what_its_lock_does(
    bill: str, lock: str, releases: tuple[Path, Path]
) -> None:
    release = releases[0]
    [sdist] = release.glob("*.tar.gz")
    name = sdist.name.removesuffix(".tar.gz")
    document = json.loads((release / f"{name}{bill}.cdx.json").read_text())
    assert document["metadata"]["component"]["version"] == name.rpartition("-")[2]
    listed = [f"{each['name']}=={each['version']}" for each in document["components"]]
    text = (release / lock).read_text()
    locked = re.findall(r"^([\w.-]+)\S*?==([^\s;]+)", text, re.MULTILINE)
    assert sorted(listed) == sorted(f"{package}=={version}" for package, version in locked)
    hashes = sum(
        len(reference.get("hashes", ()))
        for each in document["components"]
        for reference in each["externalReferences"]
    )
    assert hashes == text.count("--hash=sha256:")


def test_the_sdist_has_what_a_checkout_has(releases: tuple[Path, Path]) -> None:
    """Beside what belongs to a checkout only."""
    [sdist] = releases[0].glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        files = {each.name.partition("/")[2] for each in archive.getmembers()}
        assert {each.mode for each in archive.getmembers()} <= {0o644, 0o755, 0o777}
        assert {each.uid for each in archive.getmembers()} == {0}
    committed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-tree", "-r", "--name-only", "HEAD"],
        check=True, capture_output=True, text=True, timeout=LIMIT,
    ).stdout.split("\n")  # fmt: skip
    missing = {name.partition("/")[0] for name in committed if name and name not in files}
    assert missing <= {".ci", ".editorconfig", "CONTRIBUTING.md", "SECURITY.md"}
