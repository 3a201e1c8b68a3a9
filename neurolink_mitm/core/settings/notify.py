"""The section of notices: which events the user hears of, by which channels, and when not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from neurolink_mitm.core.settings import types as types
from neurolink_mitm.core.settings.section import PRIVATE, Section

NoticeKind = Literal["needs-login", "window-80", "all-cooling", "back", "paid-fallback", "cap"]


NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)


@dataclass(frozen=True, slots=True)
class Notify(Section):
    """The channels by which the user hears of events, and of which ones."""

    desktop: Annotated[types.Flag, "On the desktop, where there is one."] = False
    webhook: Annotated[
        types.Url | None, "A POST to this URL, with the event as JSON; `secret` has to sign it."
    ] = field(default=None, repr=False, metadata=PRIVATE)
    secret: Annotated[
        types.SecretText | None,
        "The key of the webhook's signature (`x-neurolink-signature`): better `${VAR}` than the key itself.",
    ] = None
    command: Annotated[
        tuple[types.Argument, ...],
        "A program and its arguments, run without a shell for 10 s at most, with the event as JSON on its input.",
    ] = field(default=(), repr=False)
    on: Annotated[
        tuple[NoticeKind, ...],
        "The events: `needs-login`, `window-80`, `all-cooling`, `back`, `paid-fallback`, `cap`.",
    ] = NOTICE_KINDS
    quiet: Annotated[
        types.Quiet | None,
        "Hours of the local clock without notices, such as `22:00-07:00`; what still holds at their end is told then.",
    ] = None

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the names of the channels that are on."""
        on = {"desktop": self.desktop, "webhook": self.webhook, "command": self.command}
        return tuple(name for name, value in on.items() if value)
