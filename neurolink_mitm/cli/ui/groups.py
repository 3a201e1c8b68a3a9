"""Options that several commands share.

The group that all our groups are: leads on from a command that there is not, and ends well by Ctrl-C.

A group whose commands are modules of their own, imported when they are called, so that help is quick.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.ui.exits import interruptible

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)


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


class LazyGroup(Group):
    """Beside commands that were added as usual, those of `lazy`: name → what the list says of it.

    `name` is `command` in the module `PLACE` + name, a hyphen being an underscore there. One with
    an empty text is not listed. `shortcuts` are names for commands further down: name → group.
    """

    def __init__(
        self,
        *args: Any,
        lazy: Mapping[str, str],
        place: str,
        shortcuts: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy
        self.shortcuts = shortcuts or {}
        self._place = place

    def names(self, ctx: click.Context) -> list[str]:
        listed = (name for name, text in self.lazy.items() if text)
        return [*listed, *super().list_commands(ctx), *self.shortcuts]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.lazy, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.shortcuts:
            group = self.get_command(ctx, self.shortcuts[cmd_name])
            assert isinstance(group, click.Group)
            return group.get_command(ctx, cmd_name)
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        module = import_module(self._place + cmd_name.replace("-", "_"))
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The lazy ones by their list: to import them all takes a second."""
        from click.shell_completion import CompletionItem

        eager = {n: c.get_short_help_str() for n, c in self.commands.items() if not c.hidden}
        listed = {**eager, **{n: text for n, text in self.lazy.items() if text}}
        listed |= {name: f"The same as {group} {name}." for name, group in self.shortcuts.items()}
        names = [name for name in sorted(listed) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=listed[name]) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click does it, but the lazy ones are not looked at."""
        eager = {n: c for n, c in self.commands.items() if not c.hidden}
        room = formatter.width - 6 - max(map(len, (*self.lazy, *eager)))
        rows = {n: c.get_short_help_str(room) for n, c in eager.items()}
        rows |= {n: text for n, text in self.lazy.items() if text}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows.items()))
        if self.shortcuts:
            with formatter.section("The same as in their groups"):
                paths = (f"{group} {name}" for name, group in self.shortcuts.items())
                formatter.write_dl(list(zip(self.shortcuts, paths, strict=True)))
