"""The group that all our groups are: leads on from a command that there is not, and ends well by Ctrl-C."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import Any

import click

from neurolink_mitm.cli.exits import interruptible

MOST = 3
"""Suggestions in one message."""
OTHER_WORDS = {
    "run": "start", "serve": "start", "up": "start", "down": "stop", "kill": "stop", "ps": "status",
    "ls": "list", "accounts": "list", "signin": "login", "signout": "logout", "rm": "logout",
    "remove": "logout", "tui": "status", "check-config": "check", "validate": "check",
}  # fmt: skip
"""What other programs call the like of it."""


class Group(click.Group):
    """As click's, with suggestions from all groups, and one way to end by Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        with interruptible():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        unknown = not name.startswith("-") and self.get_command(ctx, name) is None
        if unknown and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r:.80}.{_did_you_mean(ctx, self, name)}")
        return super().resolve_command(ctx, args)

    def names(self, ctx: click.Context) -> list[str]:
        """All that may follow the group's name, shortcuts included."""
        return self.list_commands(ctx)


def suggestions(
    name: str, here: Collection[str], elsewhere: Collection[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Return what was perhaps meant by `name`: words after the group's own (`here`), or the root's (`elsewhere`).

    What is called so, or what other programs call so; else what looks like it, the likest first. Of
    one name that is here and elsewhere, the one here.
    """
    wanted = OTHER_WORDS.get(name, name)
    names = sorted({*here, *(path[-1] for path in elsewhere)})
    close = [wanted] if wanted in names else get_close_matches(name, names, MOST)
    found = [_called(each, here, elsewhere) for each in close]
    return [path for paths in found for path in paths][:MOST]


def _called(
    name: str, here: Collection[str], elsewhere: Collection[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    return [(name,)] if name in here else [path for path in elsewhere if path[-1] == name]


def _did_you_mean(ctx: click.Context, group: Group, name: str) -> str:
    root = ctx.find_root()
    if name in ("help", "version"):
        return f" Did you mean '{root.command_path} --{name}'?"
    others = [path for path in _paths(root.command) if len(path) > 1]
    found = suggestions(name, group.names(ctx), others)
    starts = ((ctx if len(path) == 1 else root).command_path for path in found)
    shown = [f"'{start} {' '.join(path)}'" for start, path in zip(starts, found, strict=True)]
    return f" Did you mean {' or '.join(shown)}?" if shown else ""


def _paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that lead to each command below, hidden ones left out."""
    if path:
        yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            try:
                below = command.get_command(context, name)
            except ImportError:  # an error text must not end in another error
                continue
            if below and not below.hidden:
                yield from _paths(below, (*path, name))
