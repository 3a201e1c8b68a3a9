"""`tools/make-venv`, in a checkout of a few files: nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIMIT = 100
BACKEND = """
import zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name, info = "thing-1-py3-none-any.whl", "thing-1.dist-info"
    files = {
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: thing\\nVersion: 1\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "thing"
version = "1"
"""


PYTHON = f"""#!/bin/sh
[ "$1" = -c ] && [ "$#" -eq 2 ] && {{ echo "$0"; exit; }}
[ "$2" = venv ] || exec {sys.executable} "$@"
{sys.executable} -m venv --without-pip "$3"
echo {sysconfig.get_path("purelib")} >"$(echo "$3"/lib/*/site-packages)/pip.pth"
"""


class Checkout:
    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "tools").mkdir(parents=True)
        for name in ("make-venv", "find-python"):
            shutil.copy(ROOT / "tools" / name, place / "tools" / name)
        files = {
            "pyproject.toml": PROJECT,
            "backend.py": BACKEND,
            "hatch_build.py": "",
            "a.lock": "# a\n",
        }
        for name, text in files.items():
            (place / name).write_text(text)

    def make(self, python: str = "", **variables: str) -> str:
        """With this Python found first on PATH. What it said; it has to go well."""
        python = python or self.python("first")
        found = self.place / f"bin-of-{Path(python).parent.name}"
        found.mkdir(exist_ok=True)
        for name in ("python3.13", "python3.12", "python3.11"):
            (found / name).unlink(missing_ok=True)
            (found / name).symlink_to(python)
        done = subprocess.run(
            ["tools/make-venv", ".venv", "a.lock"], cwd=self.place,
            env={"PATH": f"{found}:{os.environ['PATH']}", "HOME": str(self.place), **variables},
            capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stderr

    def python(self, name: str) -> str:
        """One that works, in a place of its own. Its environments borrow our pip: to install it takes seconds."""
        script = self.place / name / "python"
        script.parent.mkdir(exist_ok=True)
        script.write_text(PYTHON)
        script.chmod(0o700)
        return str(script)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One that has its environment."""
    made = Checkout(tmp_path_factory.mktemp("checkout") / "here")
    said = made.make()
    assert "making .venv with Python 3." in said
    assert "installing NeuroLink itself" in said
    return made


def test_it_does_nothing_where_all_is_there(checkout: Checkout) -> None:
    assert checkout.make() == ""


def test_another_python_on_the_path_is_no_reason(checkout: Checkout) -> None:
    assert checkout.make(checkout.python("other")) == ""


@pytest.mark.parametrize(
    "break_it",
    [
        lambda place: (place / "a.lock").write_text("# b\n"),
        lambda place: (place / ".venv" / "bin" / "python").unlink(),
    ],
    ids=["another lock", "its Python is gone"],
)
@pytest.mark.timeout(4 * LIMIT)
def test_it_is_made_again(checkout: Checkout, break_it: object) -> None:
    assert callable(break_it)
    break_it(checkout.place)
    assert "making .venv" in checkout.make()
    assert checkout.make() == ""


def test_pip_is_heard_where_it_fails(tmp_path: Path) -> None:
    made = Checkout(tmp_path / "here")
    (made.place / "a.lock").write_text("no-such-thing==1 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(AssertionError, match="no-such-thing"):
        made.make(PIP_NO_INDEX="1")
    assert not (made.place / ".venv" / ".made-from").exists()
