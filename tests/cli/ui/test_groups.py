"""Where a mistyped command leads, the names at the top level, and Ctrl-C.

Groups that import their commands when they are called.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import NoReturn

import click
import pexpect
import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.cli import SHORTCUTS, main
from neurolink_mitm.cli.ui.groups import LazyGroup, suggestions
from tests.cli.processes import NEUROLINK, Shell
from tests.cli.test_help import ALL, LEAVES, Path
from tests.waiting import LIMIT

HERE = ("start", "stop", "status", "doctor")
ELSEWHERE = [("auth", "login"), ("auth", "list"), ("clients", "list"), ("proxy", "setup")]


def neurolink(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="neurolink")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stauts", [("status",), ("start",)]),
        ("list", [("auth", "list"), ("clients", "list")]),
        ("setpu", [("proxy", "setup"), ("stop",)]),
        ("run", [("start",)]),
        ("signin", [("auth", "login")]),
        ("qqq", []),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_suggestions(name: str, meant: list[tuple[str, ...]]) -> None:
    assert suggestions(name, HERE, ELSEWHERE) == meant


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ("stauts", "'neurolink status'"),
        ("setup", "'neurolink proxy setup'"),
        ("proxy login", "'neurolink auth login'"),
        ("proxy stauts", "'neurolink proxy status'"),
        ("auth lsit", "'neurolink auth list'"),
        ("proxy telemetry lgos", "'neurolink proxy telemetry logs'"),
        ("help", "'neurolink --help'"),
        ("proxy start --prot 1", "'--port'"),
    ],
)
def test_a_typo_leads_on(arguments: str, meant: str) -> None:
    ended = neurolink(*arguments.split())
    assert ended.exit_code == 2
    assert "Did you mean " in ended.stderr
    assert meant in ended.stderr


@pytest.mark.parametrize("name", SHORTCUTS)
def test_a_name_at_the_top_level_is_the_same_command(name: str) -> None:
    context = click.Context(main)
    assert main.get_command(context, name) is ALL[(SHORTCUTS[name], name)]


def test_the_names_at_the_top_level() -> None:
    assert set(SHORTCUTS) == {"status", "start", "stop", "login", "doctor"}
    shown = neurolink("--help").stdout
    assert [name for name in SHORTCUTS if f"\n  {name} " not in shown] == []


def interrupted(ctx: click.Context) -> NoReturn:
    raise KeyboardInterrupt


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_ctrl_c_is_130_for_every_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ALL[path], "params", [])
    monkeypatch.setattr(ALL[path], "invoke", interrupted)
    ended = neurolink(*path)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (130, "", "\n")


def asks(ctx: click.Context) -> None:
    click.prompt("Well?", err=True)


def test_the_end_of_input_at_a_prompt_is_no_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ALL[("auth", "list")], "invoke", asks)
    assert neurolink("auth", "list").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        (("proxy", "uninstall", "--purge"), "Delete all"),
        (("proxy", "setup", "--no-service", "--method", "api-key"), "API key"),
        (("login", "--method", "api-key"), "API key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_ctrl_c_at_a_prompt(shell: Shell, arguments: tuple[str, ...], question: str) -> None:
    shell.write("proxy-config.yaml", "version: 1\n")
    program, *words = NEUROLINK
    terminal = pexpect.spawn(
        program, [*words, *arguments], env=shell.environment, cwd=str(shell.home),
        dimensions=(24, 80), encoding="utf-8", timeout=LIMIT,
    )  # fmt: skip
    with terminal:
        terminal.expect(question)
        for _ in range(10):  # Python misses one that comes between a prompt and its reading
            terminal.sendintr()
            if terminal.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=5) == 0:
                break
        terminal.close()
    assert terminal.exitstatus == 130
    assert "Traceback" not in str(terminal.before)
    assert (shell.home / ".neurolink" / "proxy-config.yaml").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("proxy", "status", "--watch"),
        ("status", "--watch", "--format", "json"),
        ("logs", "tail", "--follow"),
    ],
    ids=" ".join,
)
def test_what_goes_on_is_ended_by_ctrl_c(shell: Shell, arguments: tuple[str, ...]) -> None:
    logs = shell.home / ".neurolink" / "logs"
    logs.mkdir(mode=0o700, parents=True)
    row = {"timestamp": "2026-11-22T10:00:00.000Z", "requestId": "req_nl_1"}
    (logs / "proxy-2026-11-22.jsonl").write_text(f"{json.dumps(row)}\n")
    program = shell.start(*arguments)
    program.expect("not running|req_nl_1")
    program.signal(signal.SIGINT)
    assert program.exit_code() == 130
    assert program.complained.strip() == ""


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
