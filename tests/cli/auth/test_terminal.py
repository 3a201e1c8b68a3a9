"""Commands as a person runs them: a process of their own, in a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from neurolink_mitm.cli import GROUPS, main
from neurolink_mitm.cli.auth.login import METHOD_NAMES
from neurolink_mitm.cli.auth.methods import METHODS
from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import code_from, entry, environment, kept, page_in, put, settings, stored

COMMANDS = (
    "login import logout list status refresh cleanup enable disable pause resume order"
    " set-primary get-primary clear-primary"
)
HEAVY = {"mitmproxy", "httpx", "authlib", "pydantic", "rich", "asyncio"}


@pytest.fixture
def sandbox(home: Path) -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        put(home, "proxy-config.yaml", settings(server.url))
        yield server


class Terminal:
    """What is typed is not in `seen` unless the program shows it."""

    def __init__(self, home: Path, *arguments: str, **variables: str) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "neurolink_mitm.cli", "auth", *arguments],
            env=environment(home, **variables),
            encoding="utf-8",
            timeout=20,
            dimensions=(40, 160),
        )
        self.seen = ""

    def until(self, words: str) -> None:
        self.child.expect(words)
        self.seen += f"{self.child.before}{self.child.after}"

    def type(self, line: str) -> None:
        self.child.sendline(line)

    def interrupt(self) -> None:
        """Until it ends: Python misses a Ctrl-C that comes between a prompt and the reading of its answer."""
        for _ in range(10):
            self.child.sendintr()
            if self.child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=5) == 0:
                return

    def exit_code(self) -> int | None:
        self.child.expect(pexpect.EOF)
        self.seen += self.child.before
        self.child.close()
        code: int | None = self.child.exitstatus
        return code


def run(arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Without a terminal."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def one_key(home: Path) -> Iterator[str]:
    key = "sk-ant-test-right"
    with SandboxServer([Account("k", key)]) as server:
        put(home, "proxy-config.yaml", settings(server.url))
        yield key


def test_a_key_that_was_mistyped_gets_another_try(home: Path, one_key: str) -> None:
    """Twice: it is no key, and it is nobody's."""
    terminal = Terminal(home, "login", "anthropic", "--method", "api-key", "--label", "k")
    terminal.until(r"API key \(not shown\): ")
    terminal.type("sk-an-typo")
    terminal.until(r"That did not work: an API key starts with sk-ant-.* \(2 more tries\)")
    terminal.until(r"API key \(not shown\): ")
    terminal.type("sk-ant-test-wrong")
    terminal.until(r"That did not work: the key was not accepted .* \(1 more try\)")
    terminal.until(r"API key \(not shown\): ")
    terminal.type(one_key)
    assert terminal.exit_code() == 0
    assert "stored as 'k'" in terminal.seen
    assert one_key not in terminal.seen


def test_a_setup_token_that_was_mistyped_gets_another_try(home: Path) -> None:
    terminal = Terminal(home, "login", "anthropic", "--method", "setup-token", "--label", "s")
    terminal.until(r"\(not shown\): ")
    terminal.type("sk-ant-test-1")
    terminal.until(r"That did not work: such a token starts with sk-ant-oat.* \(2 more tries\)")
    terminal.until(r"\(not shown\): ")
    terminal.type("sk-ant-oat-test-1")
    assert terminal.exit_code() == 0


def test_a_login_with_a_wrong_code_first(home: Path, sandbox: SandboxServer) -> None:
    arguments = ("--method", "oauth", "--add", "--label", "work")
    terminal = Terminal(home, "login", "anthropic", *arguments)
    terminal.until(r"Paste the code from that page \(not shown\): ")
    terminal.type("a-wrong-code")
    terminal.until(r"That did not work: the code was not accepted [^\n]*")
    assert "start" not in terminal.seen.split("That did not work")[1]  # there are more tries
    terminal.until(r"the same page, opened anew, gives a new one \(2 more tries\)")
    terminal.until(r"\(not shown\): ")
    code = code_from(page_in(terminal.seen))
    terminal.type(code)
    assert terminal.exit_code() == 0
    assert "login of gamma@example.com stored as 'work'" in terminal.seen
    found = kept(home)["work"]["tokens"]
    hidden = (code, code.partition("#")[0], "a-wrong-code", found["accessToken"], found["refreshToken"])  # fmt: skip
    assert [text for text in hidden if text in terminal.seen] == []


def test_a_key_is_not_shown_while_it_is_typed(home: Path, sandbox: SandboxServer) -> None:
    terminal = Terminal(home, "login", "anthropic", "-m", "api-key")
    terminal.until(r"API key \(not shown\): ")
    terminal.type("sk-ant-test-beta")
    assert terminal.exit_code() == 0
    assert "sk-ant-test" not in terminal.seen
    assert kept(home)["api-key"]["tokens"]["accessToken"] == "sk-ant-test-beta"


@pytest.mark.parametrize("arguments", [("login", "anthropic"), ("logout",)], ids=" ".join)
def test_ctrl_c_ends_it_quietly(
    home: Path, sandbox: SandboxServer, arguments: tuple[str, ...]
) -> None:
    stored(home, {"work": entry("sk-ant-oat-test-1")})
    terminal = Terminal(home, *arguments)
    terminal.until(r"(not shown\)|y/N\]): ")
    terminal.interrupt()
    assert terminal.exit_code() == 130
    assert not re.search("Traceback|Abort|Error", terminal.seen)
    assert [*kept(home)] == ["work"]


def test_the_code_comes_back_by_itself_on_loopback(
    home: Path, tmp_path: Path, sandbox: SandboxServer
) -> None:
    put(home, "proxy-config.yaml", settings(sandbox.url, redirect_uri="http://localhost/callback"))
    browser = tmp_path / "browser.py"
    browser.write_text("import httpx, sys\nhttpx.get(sys.argv[1], follow_redirects=True)\n")
    opener = f"{sys.executable} {browser} %s &"
    terminal = Terminal(home, "login", "anthropic", "--debug", BROWSER=opener)
    assert terminal.exit_code() == 0, terminal.seen
    assert [*kept(home)] == ["gamma@example.com"]
    assert "/v1/oauth/token" in terminal.seen
    tokens = kept(home)["gamma@example.com"]["tokens"]
    assert tokens["accessToken"] not in terminal.seen
    assert "code=" not in terminal.seen.replace("code=true", "")


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}], ids=["colour", "no colour"])
def test_colour_is_for_those_who_want_it(home: Path, variables: dict[str, str]) -> None:
    stored(home, {"work": entry("sk-ant-oat-test-1")})
    terminal = Terminal(home, "list", **variables)
    assert terminal.exit_code() == 0
    assert ("\x1b[" in terminal.seen) is not bool(variables)


@pytest.mark.parametrize("umask", [0o000, 0o077], ids=oct)
def test_files_are_their_owners_whatever_the_umask(
    home: Path, sandbox: SandboxServer, umask: int
) -> None:
    before = os.umask(umask)
    try:
        arguments = ("login", "anthropic", "-m", "api-key", "--non-interactive")
        variables = environment(home, ANTHROPIC_API_KEY="sk-ant-test-beta")
        ended = run(["-m", "neurolink_mitm.cli", "auth", *arguments], variables)
    finally:
        os.umask(before)
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout + ended.stderr
    assert [*kept(home)] == ["api-key"]  # which checks the modes


def test_help_needs_nothing_heavy() -> None:
    code = "import sys, neurolink_mitm.cli.auth; print(*sys.modules)"
    loaded = run(["-c", code], environment(Path("/")))
    assert loaded.returncode == 0, loaded.stderr
    assert HEAVY & set(loaded.stdout.split()) == set()


def test_every_command_and_method_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "accounts.md").read_text()
    assert [name for name in COMMANDS.split() if name not in page] == []
    assert tuple(METHODS) == METHOD_NAMES
    assert [method for method in METHODS if f"### `{method}`" not in page] == []


def test_every_command_has_help_with_an_example() -> None:
    auth = main.get_command(None, "auth")  # type: ignore[arg-type]
    assert auth is not None
    commands = auth.commands  # type: ignore[attr-defined]
    assert sorted(commands) == sorted(COMMANDS.split())
    assert "auth" in GROUPS
    for name, command in commands.items():
        assert f"Example: neurolink auth {name}" in command.help, name
