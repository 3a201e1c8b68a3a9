from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.adapters.audit import Audit
from neurolink_mitm.adapters.files import ChangedError
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.config.editable import Change, NotAllowedError
from neurolink_mitm.config.history import History
from neurolink_mitm.config.proposal import (
    LARGEST_EDITED,
    NothingToUndoError,
    Proposal,
    file_of,
    new_warnings,
    propose,
    undo,
)
from neurolink_mitm.config.sources import SourceOptions
from neurolink_mitm.core.logs.audit import Actor
from neurolink_mitm.core.settings.errors import ConfigError
from neurolink_mitm.core.settings.values import Config

IDLE = Change(("timeouts", "idle"), 60)


class Place:
    """A home with a configuration file, and what edits it."""

    def __init__(self, tmp_path: Path) -> None:
        self.home = Home(tmp_path / "home")
        self.home.create()
        self.options = SourceOptions({"HOME": str(tmp_path)})
        self.file = file_of(self.options, self.home)
        self.history = History(self.home.config_history, self.file)
        self.audit = Audit(self.home.logs, Actor.DASHBOARD)

    def propose(self, *changes: Change) -> Proposal:
        return propose(self.options, self.home, self.options.environ, Config(), changes)

    def apply(self, proposal: Proposal) -> None:
        proposal.apply(self.history, self.audit)

    def undo(self, *, of: str | None = None, force: bool = False) -> Config:
        return undo(self.file, self.history, self.audit, {}, of=of, force=force, edits_only=True)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_missing_file_is_made_and_undone_to_an_empty_one(place: Place) -> None:
    proposal = place.propose(IDLE)
    assert (proposal.good, proposal.differences) == (True, ("timeouts.idle: 300 -> 60",))
    place.apply(proposal)
    assert place.file.read_text() == "version: 1\ntimeouts:\n  idle: 60\n"
    assert place.file.stat().st_mode & 0o777 == 0o600
    assert place.undo().timeouts.idle == 300
    assert place.file.read_text() == "version: 1\n"
    with pytest.raises(NothingToUndoError):
        place.undo()


def test_faults_are_at_the_change_that_has_made_them(place: Place) -> None:
    place.file.write_text("version: 1\nnonsense: 1\ntimeouts: {first-event: 5}\n")
    first_event = Change(("timeouts", "firstEvent"), "two")
    chain = Change(("routing", "fallbackChain"), [{"provider": "openai", "model": ""}])
    webhook = Change(("notify", "webhook"), "http://evil.example")
    proposal = place.propose(IDLE, first_event, chain, webhook)
    assert not proposal.good
    assert {loc[-1]: text.partition(":")[0] for loc, text in proposal.faults.items()} == {
        "firstEvent": "timeouts.first-event",
        "fallbackChain": "routing.fallback-chain[0].model",
        "webhook": "notify.webhook",
    }
    assert [each.partition(":")[0] for each in proposal.other_faults] == ["nonsense"]
    assert b"evil" not in proposal.after


def test_only_new_warnings_are_told(place: Place) -> None:
    place.file.write_text("version: 1\naccounts: {anthropic: [{name: a, apiKey: k}]}\n")
    proposal = place.propose(Change(("routing", "primaryAccount"), "b"))
    assert new_warnings(proposal, place.options, place.home) == (
        'routing.primary-account: no account is called "b"',
    )


def test_whoever_comes_second_is_refused(place: Place) -> None:
    first, second = place.propose(IDLE), place.propose(Change(("routing", "hold"), 3))
    place.apply(first)
    with pytest.raises(ChangedError):
        place.apply(second)
    assert "hold" not in place.file.read_text()
    assert len(place.history.versions()) == 1


def test_a_link_stays_one(place: Place, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles.yaml"
    target.write_text("version: 1\n")
    place.file.symlink_to(target)
    place.apply(place.propose(IDLE))
    assert place.file.is_symlink()
    assert "idle: 60" in target.read_text()
    place.undo()
    assert target.read_text() == "version: 1\n"


def test_a_large_file_is_not_edited_but_what_made_it_large_is_undone(place: Place) -> None:
    most = b"version: 1\n".ljust(LARGEST_EDITED - 1, b"\n") + b"\n"
    place.file.write_bytes(most)
    place.apply(place.propose(IDLE))
    with pytest.raises(NotAllowedError, match="edit it in the file"):
        place.propose(IDLE)
    place.undo()
    assert place.file.read_bytes() == most
    place.file.write_bytes(most + b"\n")
    with pytest.raises(NotAllowedError, match="larger than 64 KB"):
        place.propose(IDLE)


def test_what_is_no_file_is_left_alone(place: Place) -> None:
    os.mkfifo(place.file)
    with pytest.raises(OSError, match="no regular file"):
        place.propose(IDLE)
    place.file.unlink()
    place.file.write_text("a: [")
    with pytest.raises(ConfigError):
        place.propose(IDLE)
