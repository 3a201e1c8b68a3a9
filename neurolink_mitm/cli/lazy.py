"""A group whose commands are modules of their own, imported when they are called, so that help is quick."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.cli.groups import Group

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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
