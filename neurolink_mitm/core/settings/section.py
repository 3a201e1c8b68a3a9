"""What the sections of the configuration have in common."""

from __future__ import annotations

PRIVATE = {"private": True}
"""Metadata of fields that are no keys, but are in no log, report or repr either."""


class Section:
    """A mapping in the file; its keys are camelCase or kebab-case, and unknown ones are faults."""

    __slots__ = ()


class Options(Section):
    """The options of a plugin: in the file true, false, or a mapping, which switches it on."""

    __slots__ = ()
