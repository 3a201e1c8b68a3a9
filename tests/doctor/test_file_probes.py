"""Files of a home, as the doctor looks at them; `test_checks` has them with all other probes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.doctor.file_probes import disk_free, leftovers, probe_files, probe_home


@pytest.fixture
def place(tmp_path: Path) -> Home:
    place = Home(tmp_path / "home")
    place.create()
    return place


def test_a_fifo_in_the_place_of_a_state_file_is_named_and_not_waited_for(place: Home) -> None:
    os.mkfifo(place.spend)
    faults = {probe.path: probe.fault for probe in probe_files(place, None) if probe.fault}
    assert faults == {str(place.spend): "can't be read: is no regular file"}


def test_leftovers_are_what_was_set_aside_or_half_written(place: Home) -> None:
    for name in (".tokens.json.abc.tmp", "tokens.json.corrupt-1", "tokens.json"):
        (place.root / name).touch()
    assert list(leftovers(place)) == [".tokens.json.abc.tmp", "tokens.json.corrupt-1"]


def test_a_home_that_is_not_there_yet_has_the_disk_of_its_parent(tmp_path: Path) -> None:
    missing = Home(tmp_path / "none" / "home")
    probe = probe_home(missing)
    assert probe is not None
    assert (probe.mode, probe.fault) == (None, None)
    assert disk_free(missing)
