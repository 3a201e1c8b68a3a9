"""Edits the configuration file, waits until the proxy has taken them over, and undoes them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_args

from neurolink_mitm.adapters.files import ChangedError
from neurolink_mitm.config.editable import Change, NotEditableError
from neurolink_mitm.config.history import digest
from neurolink_mitm.config.proposal import (
    NothingToUndoError,
    content_of,
    file_of,
    propose,
    undo,
)
from neurolink_mitm.config.show import differences
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config, Strategy
from neurolink_mitm.dashboard.action import Action, Done, Form, RefusedError, Undo
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.dashboard.views.config_view import changes_of, history_of
from neurolink_mitm.dataplane.threads import short_switch_interval

TAKEN_OVER_SECONDS = 8.0
"""The proxy looks at its files every 5 s where the file system sends no events."""
LOOK_SECONDS = 0.05
CHANGED = "the file was changed meanwhile: look again, nothing was written"
PARTS = ("configuration", "what-if")
"""Parts that show what is in force."""


def apply(site: Site, form: Form) -> Done:
    """Write the changed fields of a form; `digest` is that of the file that it was made from."""
    with _refusals(site):
        current = digest(content_of(file_of(site.sources, site.home)))
        if form.get("digest") != current:
            raise ChangedError
        return _edit(site, changes_of(site, form).changes, current)


def set_strategy(site: Site, form: Form) -> Done:
    """Write `routing.strategy`."""
    strategy = form.get("strategy", "")
    if strategy not in get_args(Strategy):
        raise RefusedError(f"the strategy must be one of {', '.join(get_args(Strategy))}")
    with _refusals(site):
        changes_of(site, {})  # raises where the file is gone
        return _edit(site, [Change(("routing", "strategy"), strategy)])


def _edit(site: Site, changes: list[Change], made_from: str | None = None) -> Done:
    with short_switch_interval():
        proposal = propose(site.sources, site.home, site.runtime.environ, site.config, changes)
    if made_from not in (None, digest(proposal.before)):
        raise ChangedError
    if not proposal.good or proposal.inputs is None:
        faults = (*proposal.faults.values(), *proposal.other_faults)
        raise RefusedError(f"not written: {'; '.join(faults)}")
    if not proposal.changes_file:
        return Done("nothing to write: the file says so already", refresh=PARTS)
    changed = proposal.differences
    faults_before = site.runtime.config_errors
    proposal.apply(history_of(site), site.audit)
    message = _outcome(site, proposal.inputs.config, faults_before, changed)
    return Done(
        message + _overridden(site, changes),
        Undo("undo-configuration", {"of": digest(proposal.after)}),
        PARTS,
    )


def _overridden(site: Site, changes: list[Change]) -> str:
    strategy = site.sources.strategy
    if strategy and any(change.loc == ("routing", "strategy") for change in changes):
        return f". The proxy was started with --strategy {strategy}, which stays in force until it ends"
    return ""


def undo_edit(site: Site, form: Form) -> Done:
    """Put the version before the last edit in place."""
    of, force = form.get("of"), form.get("force") == "1"
    file, history = file_of(site.sources, site.home), history_of(site)
    before, faults_before = site.config, site.runtime.config_errors
    with _refusals(site):
        config = undo(
            file, history, site.audit, site.runtime.environ, of=of, force=force, edits_only=True
        )
    return Done(
        f"undone; {_outcome(site, config, faults_before, differences(before, config))}",
        refresh=PARTS,
    )


def _outcome(
    site: Site, config: Config, faults_before: tuple[str, ...], changed: tuple[str, ...]
) -> str:
    """Wait until the proxy serves by `config`, or has refused it; return which, in words."""
    what = "; ".join(changed[:3]) + f"; {len(changed) - 3} more" * (len(changed) > 3)
    if _wait(
        lambda: site.config == config or site.runtime.config_errors not in ((), faults_before)
    ):
        if site.config == config:
            return f"in force: {what}" if what else "the file is written, and in force"
        faults = "; ".join(site.runtime.config_errors)
        return f"the file is written, but not taken over, and all stays as it was: {faults}"
    return "the file is written; the proxy has not taken it over yet"


def _wait(until: Callable[[], bool]) -> bool:
    end, pause = time.monotonic() + TAKEN_OVER_SECONDS, threading.Event()
    while not until():
        if time.monotonic() > end:
            return False
        pause.wait(LOOK_SECONDS)
    return True


@contextmanager
def _refusals(site: Site) -> Iterator[None]:
    file = file_of(site.sources, site.home)
    try:
        yield
    except ChangedError as e:
        raise RefusedError(CHANGED) from e
    except NothingToUndoError as e:
        raise RefusedError("there is no edit to undo, or it was undone already") from e
    except NotEditableError as e:
        raise RefusedError(f"{file}: {e}") from e
    except ConfigError as e:
        raise RefusedError(f"the file can't be used: {'; '.join(e.faults)}") from e
    except OSError as e:
        raise RefusedError(f"{file} can't be written, and is as it was: {e.strerror or e}") from e


ACTIONS: tuple[Action, ...] = (
    Action("apply-configuration", apply),
    Action("undo-configuration", undo_edit),
    Action("set-strategy", set_strategy),
)
