"""What the page Configuration shows, and what a form of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from neurolink_mitm.config.editable import NotAllowedError
from neurolink_mitm.config.env_file import chosen, variable_names
from neurolink_mitm.config.file import document_of
from neurolink_mitm.config.history import History, Version, digest
from neurolink_mitm.config.proposal import (
    Proposal,
    check_size,
    content_of,
    file_of,
    new_warnings,
    propose,
    undoable,
)
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.views.config_form import Field, Section, sections
from neurolink_mitm.dashboard.views.filled_form import Filled, filled
from neurolink_mitm.dataplane.threads import short_switch_interval

if TYPE_CHECKING:
    from neurolink_mitm.dashboard.action import Form

MOST_ACCOUNTS = 20
"""Accounts that are shown at once; of more, those that are asked for."""


def history_of(site: Site) -> History:
    return History(site.home.config_history, file_of(site.sources, site.home), site.now)


def changes_of(site: Site, form: Form) -> Filled:
    """Return what a form changes. Raises `OSError`, `ConfigError`, `NotAllowedError`."""
    check_size(content_of(file_of(site.sources, site.home)))
    return filled(_sections(site, _document(site)[1]), form)


def _document(site: Site) -> tuple[bytes | None, object]:
    file = file_of(site.sources, site.home)
    content = content_of(file)
    if not content and site.runtime.config_path is not None:
        # the reload takes that for a file that is about to be written: an edit would be all that is left
        raise ConfigError(
            f"{file}: is {'empty' if content == b'' else 'gone'}; its last values are in force"
        )
    return content, document_of(file, content) if content else None


def _sections(site: Site, document: object) -> list[Section]:
    stored = site.on_loop(
        lambda: [each.label for each in site.runtime.pool.accounts if each.source == "store"]
    )
    return sections(site.config, document, stored, site.sources.strategy)


@dataclass(frozen=True, slots=True)
class Checked:
    """The page's data: its sections, and what came of the check of a form."""

    sections: list[Section]
    digest: str
    file_fault: str = ""
    """Why the file can't be read as it is; nothing can be edited then."""
    stale: bool = False
    """Whether the file was changed since the form was made."""
    proposal: Proposal | None = None
    warnings: tuple[str, ...] = ()
    """Those that the proposal would add."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What an apply has to send."""

    @property
    def faulty(self) -> list[Field]:
        return [each for section in self.sections for each in section.fields if each.error]


def checked_form(site: Site, form: Form) -> Checked:
    """Return all values in force, and for a form that was sent what it would change and what is wrong with it."""
    try:
        content, document = _document(site)
    except (OSError, ConfigError) as e:
        return Checked(_sections(site, None), "", _reason(e))
    current = digest(content)
    try:
        check_size(content)
    except NotAllowedError as e:
        return Checked(
            _sections(site, document), current, f"{file_of(site.sources, site.home)}: {e}"
        )
    made = _sections(site, document)
    if "digest" not in form:
        return Checked(made, current)
    if form["digest"] != current:
        return Checked(made, current, stale=True)
    typed = filled(made, form)
    if not typed.changes:
        return Checked(made, current, proposal=None, fields={"digest": current})
    try:
        with short_switch_interval():
            proposal = propose(
                site.sources, site.home, site.runtime.environ, site.config, typed.changes
            )
            warnings = new_warnings(proposal, site.sources, site.home) if proposal.good else ()
    except (OSError, ConfigError, NotAllowedError) as e:
        return Checked(typed.sections, current, _reason(e))
    return Checked(
        _with_errors(typed.sections, proposal),
        current,
        proposal=proposal,
        warnings=warnings,
        fields={**typed.fields, "digest": current},
    )


def _reason(e: OSError | ConfigError | NotAllowedError) -> str:
    if isinstance(e, ConfigError):
        return "; ".join(e.faults)
    return (isinstance(e, OSError) and e.strerror) or str(e)


def _with_errors(made: list[Section], proposal: Proposal) -> list[Section]:
    return [
        replace(
            section,
            fields=tuple(
                replace(each, error=proposal.faults.get(tuple(map(str, each.loc)), ""))
                for each in section.fields
            ),
        )
        for section in made
    ]


def chosen_accounts(made: list[Section], name: str) -> tuple[list[Section], list[str]]:
    """Return the sections without most accounts where there are too many, and the names of all accounts."""
    names = [each.title for each in made if each.account]
    if len(names) <= MOST_ACCOUNTS:
        return made, []
    return [each for each in made if not each.account or each.title == name], names


def last_version(site: Site) -> tuple[Version | None, bool]:
    """Return the version that undo would put in place, and whether the file is as the last edit has left it."""
    try:
        return undoable(file_of(site.sources, site.home), history_of(site))
    except (OSError, ConfigError):
        return None, False


def env_file(site: Site) -> tuple[str, tuple[str, ...]]:
    """Return the path of the env file, and the names of its variables."""
    path = chosen(site.sources.environ, site.home, site.sources.env_file)[0]
    return str(path), variable_names(path)
