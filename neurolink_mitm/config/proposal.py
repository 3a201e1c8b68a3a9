"""An edit of the configuration file: proposed, checked as `neurolink config check` does, made, and undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.files import ChangedError, compare_and_swap, locked, read
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.config.check import checked
from neurolink_mitm.config.document import account_names
from neurolink_mitm.config.edit import edited, new_file, put
from neurolink_mitm.config.editable import (
    Change,
    NotAllowedError,
    NotEditableError,
    check_rest,
    place,
)
from neurolink_mitm.config.file import LARGEST, document_of, load
from neurolink_mitm.config.history import History, Version, digest
from neurolink_mitm.config.masked_diff import ChangedLine, changed_lines
from neurolink_mitm.config.show import changed_values, differences
from neurolink_mitm.config.sources import Inputs, SourceOptions
from neurolink_mitm.core.settings.errors import ConfigError, path
from neurolink_mitm.core.settings.values import Config

LARGEST_EDITED = 64 * 1024
"""Bytes of a file that is edited here: an edit reads it several times, while requests wait for the interpreter."""


class NothingToUndoError(Exception):
    """No earlier version of the file is kept."""


def file_of(options: SourceOptions, home: Home) -> Path:
    """Return the configuration file of a proxy that was started so."""
    return (options.config or home.config).expanduser().absolute()


def content_of(file: Path) -> bytes | None:
    """Return the content of the configuration file; None if it is missing. Raises `OSError`, `ConfigError`."""
    try:
        return read(file, LARGEST)
    except ValueError as e:
        raise ConfigError(f"{file}: {e}") from e


def check_size(content: bytes | None) -> None:
    """Raise `NotAllowedError` for a file that is too large to be edited beside running requests."""
    if content and len(content) > LARGEST_EDITED:
        raise NotAllowedError(
            f"is larger than {LARGEST_EDITED // 1024} KB, too large to be edited here: edit it in the file"
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the file would be, and what would be wrong with it."""

    file: Path
    before: bytes | None = field(repr=False)
    after: bytes = field(repr=False)
    in_force: Config = field(repr=False)
    inputs: Inputs | None = field(repr=False)
    """None where the file could not be used."""
    faults: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    """By the `loc` of the change that has the fault."""
    other_faults: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.inputs is not None and not self.faults

    @property
    def changes_file(self) -> bool:
        return self.after != self.old

    @property
    def lines(self) -> list[ChangedLine]:
        return changed_lines(self.old, self.after)

    @property
    def differences(self) -> tuple[str, ...]:
        """The values that would be in force instead."""
        return differences(self.in_force, self.inputs.config) if self.inputs else ()

    @property
    def old(self) -> bytes:
        return new_file(self.file) if self.before is None else self.before

    def apply(self, history: History, audit: Audit) -> None:
        """Make the edit. Raises `ChangedError`, `NotAllowedError`, `OSError`."""
        assert self.inputs is not None
        assert not self.faults
        put(self.file, self.before, self.after, history)
        audit.record(
            "config edit", str(self.file), *changed_values(self.in_force, self.inputs.config)
        )


def propose(
    options: SourceOptions,
    home: Home,
    environ: Mapping[str, str],
    in_force: Config,
    changes: Sequence[Change],
) -> Proposal:
    """Return what the file would be with these changes, all faults at once. `environ` has the variables of `.env`, too.

    Raises `OSError`, `ConfigError`: the file can't be read as it is; `NotAllowedError`: it is too large.
    """
    file = file_of(options, home)
    before = content_of(file)
    check_size(before)
    after = new_file(file) if before is None else before
    document_of(file, after)
    faults: dict[tuple[str, ...], str] = {}
    for change in changes:
        try:
            after = edited(file, after, [change], environ)
        except NotEditableError as e:
            faults[change.loc] = str(e)
    inputs, wrong = checked(replace(options, content=after, roots=None), home)
    proposal = Proposal(file, before, after, in_force, inputs, faults)
    return _with_faults(proposal, changes, environ, wrong)


def new_warnings(proposal: Proposal, options: SourceOptions, home: Home) -> tuple[str, ...]:
    """Return the warnings that the file does not draw as it is. Blocks."""
    now, _ = checked(replace(options, content=proposal.old, roots=None), home)
    before = now.warnings if now else ()
    return (
        tuple(each for each in proposal.inputs.warnings if each not in before)
        if proposal.inputs
        else ()
    )


def _with_faults(
    proposal: Proposal, changes: Sequence[Change], environ: Mapping[str, str], wrong: Sequence[str]
) -> Proposal:
    """Return the proposal with each fault of its check at the change that has made it."""
    document = document_of(proposal.file, proposal.after)
    names = account_names(document, environ)
    faults, rest = dict(proposal.faults), list(wrong)
    for change in changes:
        where = path(place(document, change, names))
        mine = [each for each in rest if each.startswith((f"{where}:", f"{where}[", f"{where}."))]
        rest = [each for each in rest if each not in mine]
        if mine:
            faults.setdefault(change.loc, "; ".join(mine))
    return replace(proposal, faults=faults, other_faults=tuple(rest))


def undo(
    file: Path,
    history: History,
    audit: Audit,
    environ: Mapping[str, str],
    *,
    of: str | None = None,
    force: bool = False,
    edits_only: bool = False,
) -> Config:
    """Put the version before the last edit in place; return its values.

    `of` is the digest of the version to undo; `force` undoes a version that somebody has changed since; with
    `edits_only`, nothing may differ but what may be edited.

    Raises `NothingToUndoError`, `ChangedError`, `NotAllowedError`, `ConfigError`, `OSError`.
    """
    with locked(file):
        version = history.last()
        now = content_of(file)
        if version is None or of not in (None, version.replaced_by):
            raise NothingToUndoError
        lost = digest(now) != version.replaced_by
        if lost and not force:
            raise ChangedError
        content = version.content()
        if edits_only:
            check_size(content)
            check_size(now if lost else None)  # the edit itself may have made it larger
            check_rest(document_of(file, now or new_file(file)), document_of(file, content))
        before, after = _values(file, environ, now), load(file, environ, content=content).config
        with history.keeping(now or new_file(file), content) if lost else nullcontext():
            compare_and_swap(file, now, content)
        history.forget(version)
    audit.record("config undo", str(file), *changed_values(before, after))
    return after


def _values(file: Path, environ: Mapping[str, str], content: bytes | None) -> Config:
    try:
        return load(file, environ, content=content or new_file(file)).config
    except ConfigError:
        return Config()


def undoable(file: Path, history: History) -> tuple[Version | None, bool]:
    """Return the version that undo would put in place, and whether nobody has changed the file since."""
    version = history.last()
    return version, version is not None and digest(content_of(file)) == version.replaced_by
