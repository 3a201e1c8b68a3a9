"""Help: quick, complete, and with an example for every command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm import __version__
from neurolink_mitm.cli import main
from neurolink_mitm.cli.ui.groups import LazyGroup
from tests.cli.processes import Shell

Path = tuple[str, ...]


def commands(
    command: click.Command = main, path: Path = ()
) -> Iterator[tuple[Path, click.Command]]:
    """Every command and group there is, with the words that lead to it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below, name
            yield from commands(below, (*path, name))


ALL = dict(commands())
LEAVES = [path for path, command in ALL.items() if not isinstance(command, click.Group)]
named = pytest.mark.parametrize("path", LEAVES, ids=" ".join)


def neurolink(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="neurolink")


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "neurolink")
def test_help_is_there(path: Path) -> None:
    for option in ("-h", "--help"):
        ended = neurolink(*path, option)
        assert ended.exit_code == 0
        assert ended.stdout.startswith("Usage: neurolink")


@named
def test_a_command_shows_how_it_and_its_options_are_used(path: Path) -> None:
    shown = neurolink(*path, "--help").stdout
    assert f"Example: neurolink {' '.join(path)}" in " ".join(shown.split())
    options = [each for each in ALL[path].params if isinstance(each, click.Option)]
    assert [each.opts for each in options if not each.help] == []
    assert neurolink(*path, "--nonsense").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["proxy", "nonsense"],
        ["proxy", "start", "--port", "65536"],
        ["proxy", "start", "--port", "x"],
        ["proxy", "status", "--format", "xml"],
        ["sandbox", "--port", "-1"],
    ],
    ids=" ".join,
)
def test_bad_usage(arguments: list[str]) -> None:
    ended = neurolink(*arguments)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "Error: " in ended.stderr


SHORTER = {("sandbox",)}
"""What the list says of these is not how their help begins."""
LISTED = {
    (*path, name): text
    for path, group in ALL.items()
    if isinstance(group, LazyGroup)
    for name, text in group.lazy.items()
}


@pytest.mark.parametrize("path", sorted(LISTED.keys() - SHORTER), ids=" ".join)
def test_commands_say_what_they_say_in_the_list(path: Path) -> None:
    """The list is written down a second time, so that showing it imports nothing."""
    command = ALL[path]
    assert LISTED[path] == ("" if command.hidden else command.get_short_help_str(100))


def test_version() -> None:
    assert neurolink("--version").stdout == f"neurolink, version {__version__}\n"


HEAVY = {"asyncio", "httpx", "mitmproxy", "msgspec", "psutil", "pydantic", "rich"}
"""What is not worth its time for a page of text: half a second, together."""


@pytest.mark.parametrize("words", ["", "proxy", "proxy start"])
def test_help_imports_nothing_heavy(words: str) -> None:
    code = """
import sys
from neurolink_mitm.cli import main
main(sys.argv[1:] + ["--help"], standalone_mode=False)
print(*sys.modules)
"""
    command = [sys.executable, "-c", code, *words.split()]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert HEAVY & set(said.splitlines()[-1].split()) == set()


@pytest.mark.parametrize(
    "arguments",
    [("-s", "fill-frist"), ("-c", "/no/such.yaml"), ("--env-file", "/no/such.env"), ("-p", "x")],
    ids=["strategy", "config", "env-file", "port"],
)
def test_a_bad_argument_is_told_before_anything_heavy_is_imported(
    shell: Shell, arguments: tuple[str, str]
) -> None:
    """mitmproxy takes a second."""
    shell.variables["PYTHONPROFILEIMPORTTIME"] = "1"
    ended = shell.run("proxy", "start", *arguments)
    assert ended.process.returncode == 2
    assert arguments[1] in ended.complained
    assert "mitmproxy.http" not in ended.complained


def test_it_is_a_module_too(shell: Shell) -> None:
    ended = shell.run("--help")
    assert (ended.process.returncode, ended.complained) == (0, "")
    assert "Usage: neurolink " in ended.said
