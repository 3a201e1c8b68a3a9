"""`neurolink statusline`, as Claude Code runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pytest

from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE, Shell

NEUROLINK = (sys.executable, "-m", "neurolink_mitm")

HEAVY = {
    "asyncio", "authlib", "http.client", "httpx", "mitmproxy", "msgspec", "psutil", "pydantic",
    "rich", "ssl", "yaml",
}  # fmt: skip
SAID = json.dumps({"session_id": "s", "model": {"id": "claude-opus-4-6", "display_name": "Opus"}})


def run(shell: Shell, said: str | None = SAID) -> str:
    done = subprocess.run(
        [*NEUROLINK, "statusline"], input=said, env=shell.environment, capture_output=True,
        text=True, timeout=20, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return done.stdout.strip()


def test_without_a_proxy(shell: Shell) -> None:
    assert run(shell) == "neurolink: not running"


def test_after_a_crash(shell: Shell) -> None:
    proxy, _ = shell.serve("--sandbox")
    proxy.kill()
    assert shell.state.exists()
    assert run(shell) == "neurolink: not running"


def test_with_one(running: Running) -> None:
    for _ in range(3):  # the third is moved on to beta
        httpx.post(f"{running.url}/v1/messages", json=MESSAGE, timeout=20)
    line = run(running.shell)
    # a machine that is busy may not answer in time
    assert line.startswith(("neurolink beta · cooling: alpha ", "neurolink (slow)"))


def test_of_the_model_that_claude_code_names(running: Running) -> None:
    for name in ("gpt-ü &[1m]", "gpt-ü &"):
        line = run(running.shell, json.dumps({"model": {"id": name}}))
        assert line in ("neurolink: gpt-ü & is not served here", "neurolink (slow)")


@pytest.mark.parametrize("said", ["", "{", "[]", '{"model":"x"}', "\x00"], ids=repr)
def test_whatever_it_is_told(shell: Shell, said: str) -> None:
    assert run(shell, said) == "neurolink: not running"


def test_it_does_not_wait_for_stdin(shell: Shell) -> None:
    process = subprocess.Popen(
        [*NEUROLINK, "statusline"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=shell.environment,
    )  # fmt: skip
    with process:
        assert process.stdin
        assert process.wait(20) == 0
        process.stdin.close()


def test_without_any_stdin(shell: Shell) -> None:
    command = ["sh", "-c", f"{' '.join(NEUROLINK)} statusline <&-"]
    done = subprocess.run(
        command, env=shell.environment, capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout == "neurolink: not running\n"


@pytest.mark.parametrize("text", ["{", "[]", '{"port": "x"}', '{"host": 7, "port": 0}'], ids=str)
def test_a_broken_state_is_one_line_too(shell: Shell, text: str) -> None:
    shell.write("proxy-state.json", text)
    assert run(shell).startswith("neurolink")


@pytest.mark.parametrize("arguments", [["statusline"], ["--help"]], ids=lambda a: a[0])
def test_it_imports_little(shell: Shell, arguments: list[str]) -> None:
    """What takes its time is the importing: this is counted, since a clock says more of the machine."""
    code = f"""
import sys
from neurolink_mitm.__main__ import main
sys.argv[1:] = {arguments!r}
try:
    main()
except SystemExit:
    pass
print(len(sys.modules), *sys.modules, file=sys.stderr)
"""
    shell.write("proxy-state.json", '{"host": "127.0.0.1", "port": 9}')
    shell.write("cooldowns.json", "{}")
    done = shell.run("-c", code, program=(sys.executable,))
    count, *modules = done.complained.split()
    assert HEAVY & set(modules) == set()
    most = 220
    if arguments == ["statusline"]:
        assert {"click", "dataclasses", "pathlib", "shutil"} & set(modules) == set()
        most = 100
    assert int(count) < most, sorted(modules)
