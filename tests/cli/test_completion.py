"""`neurolink completion`, and what shells are told by it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from click.testing import CliRunner

from neurolink_mitm.cli import main
from tests.cli.logins import entry, environment, stored
from tests.cli.processes import NEUROLINK, Shell

HEAVY = {"mitmproxy", "starlette", "pydantic", "httpx"}


def script(shell: str) -> str:
    made = CliRunner().invoke(main, ["completion", shell], prog_name="neurolink")
    assert made.exit_code == 0, made.output
    return made.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_says_how_it_is_installed(shell: str) -> None:
    assert "_NEUROLINK_COMPLETE" in script(shell)
    last = script(shell).splitlines()[-1]
    assert last.startswith("# To install it, ")
    assert f"neurolink completion {shell}" in last


def test_another_shell_is_bad_usage() -> None:
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 2


@pytest.fixture
def variables(home: Path, tmp_path: Path) -> dict[str, str]:
    """With the command on the PATH, and a label that is stored."""
    stored(home, {"work": entry("sk-ant-oat-test-1")})
    neurolink = tmp_path / "neurolink"
    neurolink.write_text(f'#!/bin/sh\nexec {" ".join(NEUROLINK)} "$@"\n')
    neurolink.chmod(0o755)
    return environment(home, PATH=f"{tmp_path}:/usr/bin:/bin", ZDOTDIR=str(tmp_path))


@pytest.mark.real("bash")
def test_bash_completes(variables: dict[str, str]) -> None:
    code = f"""
{script("bash")}
complete_of() {{
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _neurolink_completion neurolink
    echo "${{COMPREPLY[*]}}"
}}
complete_of neurolink statu
complete_of neurolink config ""
complete_of neurolink auth logout w
"""
    done = subprocess.run(
        ["bash", "-c", code], env=variables, capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.splitlines() == [
        "status statusline",
        "check edit path schema show undo",
        "work",
    ]


@pytest.mark.real("fish")
def test_fish_completes(variables: dict[str, str]) -> None:
    asked = ("neurolink statu", "neurolink proxy sto", "neurolink auth logout w")
    code = script("fish") + "".join(f'\ncomplete -C "{line}"' for line in asked)
    done = subprocess.run(
        ["fish", "-c", code], env=variables, capture_output=True, text=True, timeout=20, check=True
    )
    first_words = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert first_words == ["status", "statusline", "stop", "work"], done


@pytest.mark.real("zsh")
def test_zsh_completes(variables: dict[str, str], tmp_path: Path) -> None:
    """At a terminal: its completion knows no other way."""
    setup = "autoload -Uz compinit; compinit -D -u; PS1='ready> '"
    (tmp_path / ".zshrc").write_text(f"{setup}\n{script('zsh')}")
    zsh = pexpect.spawn("zsh", ["-i"], env=variables, timeout=20)
    try:
        zsh.expect("ready> ")
        zsh.send("neurolink auth logout w\t")
        zsh.expect("work")
        zsh.send("\x15neurolink proxy sta\t\t")
        zsh.expect("start +-- Start the proxy in the foreground")
    finally:
        zsh.close(force=True)


def test_the_first_word_is_completed_without_importing_what_it_means(shell: Shell) -> None:
    shell.variables |= {
        "_NEUROLINK_COMPLETE": "bash_complete", "COMP_WORDS": "neurolink ", "COMP_CWORD": "1",
    }  # fmt: skip
    code = """
import sys, atexit
from neurolink_mitm.cli import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main(prog_name="neurolink")
"""
    done = shell.run("-c", code, program=(sys.executable,))
    assert "plain,proxy" in done.said
    assert HEAVY & set(done.complained.split()) == set()
