"""What `neurolink proxy setup` offers beside the proxy's address: explained, asked for, kept, put in force."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.claude_code import editors
from neurolink_mitm.claude_code.attach import attach_editor
from neurolink_mitm.claude_code.attachments import AllSettings
from neurolink_mitm.claude_code.choices import (
    MODEL_DISCOVERY,
    TOOL_STREAMING,
    Choices,
    read_choices,
    write_choices,
)
from neurolink_mitm.claude_code.settings import Entry, SettingsError
from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.terminal import confirm, done, say, skipped

MODELS, INPUTS, EDITOR = "Model discovery", "Fine-grained tool streaming", "VS Code"
DISCOVERY = "Claude Code's /model also lists the models of this proxy whose names begin with claude"
STREAMING = "the inputs of tools, such as long edits, come piece by piece, as without a proxy"
VSCODE = "Claude Code's extension for VS Code comes to the proxy while it runs"
OFFERED = (MODEL_DISCOVERY, TOOL_STREAMING)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that were given; None: neither yes nor no."""

    model_discovery: bool | None
    tool_streaming: bool | None
    vscode: bool | None
    vscode_settings: Path | None


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of `Asked`."""
    for option in (
        click.option(
            "--vscode-settings",
            type=click.Path(path_type=Path, dir_okay=False),
            help="VS Code's settings.json, where --vscode does not find it.",
        ),
        click.option("--vscode/--no-vscode", default=None, help=f"So that {VSCODE}."),
        click.option(
            "--fine-grained-tool-streaming/--no-fine-grained-tool-streaming",
            "tool_streaming",
            default=None,
            help=f"So that {STREAMING}.",
        ),
        click.option(
            "--model-discovery/--no-model-discovery", default=None, help=f"So that {DISCOVERY}."
        ),
    ):
        command = option(command)
    return command


def choose(place: Home, asked: Asked, *, ask: bool) -> Choices:
    """Return what is to be set, and keep it for later starts; ask, the first time, if anybody can answer."""
    try:
        before = read_choices(place.claude_choices)
        new = not place.claude_choices.exists()
        questions = ask and new and sys.stdin.isatty() and sys.stderr.isatty()
        chosen = Choices(
            _yes(
                asked.model_discovery, before.model_discovery, f"{MODELS}: {DISCOVERY}", questions
            ),
            _yes(
                asked.tool_streaming,
                before.fine_grained_tool_streaming,
                f"{INPUTS}: {STREAMING}",
                questions,
            ),
            _editor(asked, before, questions),
        )
        if questions or chosen != before:
            write_choices(place.claude_choices, chosen)
    except ValueError as e:
        fail(f"{e}: mend or delete it", FAILED)
    return chosen


def _yes(given: bool | None, before: bool, text: str, questions: bool) -> bool:
    if given is None and questions:
        return confirm(
            f"{text[0].upper()}{text[1:]}?", default=before, otherwise="say it by options"
        )
    return before if given is None else given


def _editor(asked: Asked, before: Choices, questions: bool) -> str | None:
    """Return the settings of the editor to change; None for no editor."""
    if asked.vscode is False:
        if asked.vscode_settings:
            fail("--vscode-settings and --no-vscode contradict one another", USAGE)
        return None
    if asked.vscode_settings:
        return str(asked.vscode_settings.absolute())
    places = editors.settings_files(os.environ, sys.platform)
    if not asked.vscode and (before.editor or not places or not questions):
        return before.editor
    if not asked.vscode and not _yes(None, False, f"{EDITOR}: {VSCODE}", questions):
        return None
    if not places:
        fail("no editor's settings were found: name them by --vscode-settings PATH", USAGE)
    for other in places[1:]:
        say(f"not changed: {other} (for it, --vscode-settings {other!s:.200})")
    return str(places[0])


def put_in_force(place: Home, state: ProxyState, choices: Choices) -> None:
    """Have a proxy that ran already set what was chosen just now, and say what is set."""
    settings = AllSettings(place)
    try:
        entry = settings.claude.entry(state.pid)
        if entry and _offered(entry) != choices.variables.keys():
            settings.claude.claim(
                Path(entry.path), state.pid, entry.url, choices.variables, trust=state.variables
            )
    except SettingsError as e:
        skipped(str(e))
        return
    for name in choices.variables if entry else ():
        text = DISCOVERY if name == MODEL_DISCOVERY else STREAMING
        done(f"{name}=1: {text}")
    _put_editor_in_force(settings, state, choices, entry)


def _offered(entry: Entry) -> set[str]:
    return {name for name in entry.ours if name in OFFERED}


def _put_editor_in_force(
    settings: AllSettings, state: ProxyState, choices: Choices, attached: Entry | None
) -> None:
    try:
        entry = settings.editor.entry(state.pid)
        as_chosen = entry and entry.path == choices.editor
        if entry and not (as_chosen and _offered(entry) == choices.variables.keys()):
            settings.editor.release(state.pid)
            entry = None
        if choices.editor and entry is None:
            if attached is None:
                skipped(
                    "VS Code is left alone, as Claude Code's settings are: stop the proxy, then this again"
                )
                return
            attach_editor(
                settings, Path(choices.editor), state.pid, attached.url, choices, state.variables
            )
    except SettingsError as e:
        skipped(f"VS Code is left alone: {e}")
        return
    if choices.editor:
        done(
            f"VS Code's extension comes to {state.caller_url}, from its next start: {choices.editor}"
        )
