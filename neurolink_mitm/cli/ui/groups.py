"""Groups of commands: lazily loaded, so that help is quick; they suggest what was meant, and end in one line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.ui.exits import one_line_errors

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

MOST = 3
"""Suggestions in one message, at most."""
OTHER_WORDS = {
    "run": "start", "serve": "start", "up": "start", "down": "stop", "kill": "stop", "ps": "status",
    "ls": "list", "accounts": "list", "signin": "login", "signout": "logout", "rm": "logout",
    "remove": "logout", "tui": "top", "check-config": "check", "validate": "check",
}  # fmt: skip
"""What other programs call our commands."""


class Group(click.Group):
    """A click group that suggests commands of all groups, and ends by `one_line_errors`."""

    def invoke(self, ctx: click.Context) -> Any:
        with one_line_errors():
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
        """Return all that may follow the group's name, shortcuts included."""
        return self.list_commands(ctx)


def suggestions(
    name: str, here: Collection[str], elsewhere: Collection[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Return the paths that were perhaps meant by `name`, the likest first.

    `here` are the group's own commands, and win over paths of the same name from the root, `elsewhere`.
    """
    wanted = OTHER_WORDS.get(name, name)
    names = sorted({*here, *(path[-1] for path in elsewhere)})
    close = [wanted] if wanted in names else get_close_matches(name, names, MOST)
    return [path for each in close for path in _called(each, here, elsewhere)][:MOST]


def _called(
    name: str, here: Collection[str], elsewhere: Collection[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    return [(name,)] if name in here else [path for path in elsewhere if path[-1] == name]


def _did_you_mean(ctx: click.Context, group: Group, name: str) -> str:
    root = ctx.find_root()
    if name in ("help", "version"):
        return f" Did you mean '{root.command_path} --{name}'?"
    elsewhere = [path for path in _paths(root.command) if len(path) > 1]
    quoted = [
        f"'{(ctx if len(path) == 1 else root).command_path} {' '.join(path)}'"
        for path in suggestions(name, group.names(ctx), elsewhere)
    ]
    return f" Did you mean {' or '.join(quoted)}?" if quoted else ""


def _paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that lead to each command below `command`; hidden ones are left out."""
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
    """A group whose commands in `lazy` (name → line of the list, empty for none) are imported when they are called.

    Each is `command` in the module `place` + name, with underscores for hyphens. `shortcuts` are names of commands
    further down: name → group.
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
        """Complete lazy commands by their list: importing them all takes a second."""
        from click.shell_completion import CompletionItem

        eager = {n: c.get_short_help_str() for n, c in self.commands.items() if not c.hidden}
        listed = {**eager, **{n: text for n, text in self.lazy.items() if text}}
        listed |= {name: f"The same as {group} {name}." for name, group in self.shortcuts.items()}
        names = [name for name in sorted(listed) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=listed[name]) for name in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list as click does, without importing the lazy commands."""
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
