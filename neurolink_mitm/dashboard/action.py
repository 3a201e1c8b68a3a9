"""What an action is: something that the command line does, too, done from a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from neurolink_mitm.dashboard.site import Site

Form = Mapping[str, str]


class RefusedError(Exception):
    """The action was not done; the text says why, to the user."""


@dataclass(frozen=True, slots=True)
class Undo:
    """The action that takes another one back."""

    action: str
    fields: Form


@dataclass(frozen=True, slots=True)
class Done:
    """The result of an action, in words. `refresh` names parts to ask for again; live ones come by themselves."""

    message: str
    undo: Undo | None = None
    refresh: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """A POST to `/actions/NAME`. `run` gets the form's fields, in a worker thread, and raises `RefusedError`."""

    name: str
    run: Callable[[Site, Form], Done] = field(repr=False)
    changes: bool = True
    """Whether it is taken away by `dashboard.read-only`."""
