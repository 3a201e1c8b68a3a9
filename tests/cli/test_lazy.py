"""Groups that import their commands when they are called."""

from __future__ import annotations

import sys

import click
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.cli.lazy import LazyGroup

PLACE = "tests.cli.lazy_commands."


@pytest.fixture
def group() -> click.Group:
    group = LazyGroup(
        "group", lazy={"say-hello": "Say hello.", "secret": "", "broken": "Fail."}, place=PLACE
    )
    group.add_command(click.Command("eager", callback=lambda: click.echo("here"), help="Be here."))
    group.add_command(click.Command("unseen", hidden=True, help="Be there."))
    return group


def run(group: click.Group, *arguments: str) -> Result:
    return CliRunner().invoke(group, arguments, catch_exceptions=False)


def test_the_list_shows_both_kinds_in_order_and_imports_nothing(group: click.Group) -> None:
    sys.modules.pop(f"{PLACE}say_hello", None)
    shown = run(group, "--help").stdout.partition("Commands:\n")[2]
    assert [line.split(maxsplit=1) for line in shown.splitlines()] == [
        ["broken", "Fail."],
        ["eager", "Be here."],
        ["say-hello", "Say hello."],
    ]
    assert f"{PLACE}say_hello" not in sys.modules


def test_a_command_is_found_in_its_module(group: click.Group) -> None:
    assert run(group, "say-hello").stdout == "hello\n"


def test_a_command_that_was_added_is_there(group: click.Group) -> None:
    assert run(group, "eager").stdout == "here\n"


def test_what_is_not_there_is_bad_usage(group: click.Group) -> None:
    ended = run(group, "say_hello")
    assert ended.exit_code == 2
    assert "No such command" in ended.stderr


def test_a_module_that_can_not_be_imported_is_no_unknown_command(group: click.Group) -> None:
    with pytest.raises(ModuleNotFoundError, match="broken"):
        run(group, "broken")
