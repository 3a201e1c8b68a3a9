"""The Containerfile: what its linter finds, and that it is at one with the locks and the product."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neurolink_mitm.cli.proxy import start
from tests.deploy.config_maps import DEPLOY
from tools.containerfile import line_of, pairs, stages

TEXT = (DEPLOY / "Containerfile").read_text()
STAGES = stages(TEXT)
TARGETS = ("slim", "full")


def last(target: str, word: str) -> list[str]:
    """Return the arguments of the instruction that is in force in an image."""
    found = [stage.last(word) for stage in line_of(target, STAGES)]
    return [each for each in found if each][-1].arguments


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [program, str(DEPLOY / "Containerfile")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_pinned_by_digest() -> None:
    bases = {stage.base for stage in STAGES.values() if stage.base not in STAGES}
    assert len(bases) == 1
    assert re.fullmatch(r"\S+/python:3\.13\.\d+-slim-\w+@sha256:[0-9a-f]{64}", bases.pop())


def test_the_full_image_is_what_is_built_by_default() -> None:
    assert list(STAGES)[-1] == "full"


@pytest.mark.parametrize("target", TARGETS)
def test_it_is_installed_from_its_lock_by_hashes(target: str) -> None:
    texts = [each.text for each in STAGES[f"build-{target}"].instructions]
    assert texts[0] == f"deploy/requirements-{target}.lock ./"
    [install] = [text for text in texts if "requirements-" in text and "pip" in text]
    assert "--require-hashes" in install
    assert "--only-binary :all:" in install
    [wheel] = [text for text in texts if ".whl" in text]
    assert "--no-index --no-deps" in wheel
    assert STAGES[target].instructions[0].flags == {"from": f"build-{target}"}


@pytest.mark.parametrize("target", TARGETS)
def test_it_starts_as_the_product_wants_it(target: str) -> None:
    assert last(target, "ENTRYPOINT") == ["neurolink"]
    command = last(target, "CMD")
    options = {name for parameter in start.params for name in parameter.opts}
    assert command[:2] == ["proxy", "start"]
    assert {each for each in command if each.startswith("--")} <= options
    assert "--no-claude-settings" in command
    assert last(target, "EXPOSE") == [command[command.index("--port") + 1]]


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_as_a_user_whose_state_is_in_the_volume(target: str) -> None:
    variables: dict[str, str] = {}
    for stage in line_of(target, STAGES):
        for each in stage.instructions:
            variables |= pairs(each.text) if each.word == "ENV" else {}
    [volume] = last(target, "VOLUME")
    assert last(target, "USER") == ["10001:10001"]
    assert (variables["HOME"], variables["NEUROLINK_HOME"]) == (volume, volume)
    assert last(target, "WORKDIR") == [volume]
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert "CMD" in last(target, "HEALTHCHECK")


def test_the_builder_gets_the_wheel_and_the_locks_only() -> None:
    lines = (DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    assert set(patterns[1:]) == {"!deploy/requirements-*.lock", "!dist/SHA256SUMS", "!dist/*.whl"}


def test_an_instruction_that_the_rehearsal_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match="ONBUILD"):
        stages("FROM a\nONBUILD RUN true\n")


def test_lines_that_go_on_and_comments_between_them_are_read() -> None:
    read = stages(
        "ARG A=b\nFROM ${A} AS x\nRUN --mount=type=cache,target=/c \\\n  # why\n  a b \\\n  && c\n"
    )
    [run] = read["x"].instructions
    assert read["x"].base == "b"
    assert run.flags == {"mount": "type=cache,target=/c"}
    assert run.text.split() == ["a", "b", "&&", "c"]
