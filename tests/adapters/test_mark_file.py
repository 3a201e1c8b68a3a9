from __future__ import annotations

from pathlib import Path

import pytest

from neurolink_mitm.adapters.mark_file import (
    MarkFileError,
    note_marks,
    read_marks,
    replace_marks,
    set_again,
    with_marks,
)
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.cluster import Cluster
from neurolink_mitm.core.settings.values import Config, Routing

OWN = {"primary": "work", "order": ["work", "home"]}
NONE: dict[str, object] = {"primary": None, "order": []}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cluster-marks.json"


def test_what_is_configured_counts_until_replicas_agree(path: Path) -> None:
    assert note_marks(path, OWN) == OWN
    replace_marks(path, {"primary": "third"}, OWN)
    assert read_marks(path, OWN) == {"primary": "third", "order": ["work", "home"]}


def test_a_later_edit_counts_again(path: Path) -> None:
    replace_marks(path, {"primary": "third"}, OWN)
    assert read_marks(path, OWN | {"primary": "home"})["primary"] == "home"
    assert note_marks(path, OWN | {"primary": None})["primary"] is None


def test_what_nobody_has_set_is_no_mark(path: Path) -> None:
    assert note_marks(path, NONE) == {}
    assert not path.exists()
    replace_marks(path, {"order": ["a"]}, NONE)
    assert read_marks(path, NONE) == {"order": ["a"]}


def test_a_configuration_that_cant_be_read_changes_nothing(path: Path) -> None:
    replace_marks(path, {"primary": "third"}, OWN)
    assert note_marks(path, None) == {"primary": "third"}
    replace_marks(path, {"primary": "fourth"}, None)
    assert read_marks(path, OWN)["primary"] == "fourth"


def test_the_value_that_the_file_had_all_the_time_can_be_chosen(path: Path) -> None:
    replace_marks(path, {"primary": "third"}, OWN)
    set_again(path, "primary", "work")
    assert read_marks(path, OWN)["primary"] == "work"


BROKEN = (
    "{", "[]", '{"primary": {"value": 7}}', '{"order": {"value": "x"}}', '{"primary": 1}',
)  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_said_and_left(path: Path, text: str) -> None:
    path.write_text(text)
    for read in (read_marks, note_marks):
        with pytest.raises(MarkFileError, match="is broken"):
            read(path, OWN)
    assert path.read_text() == text


def test_the_routing_of_a_cluster_follows_the_marks(path: Path) -> None:
    replace_marks(path, {"primary": "third", "order": ["b", "a"]}, NONE)
    alone = Config()
    config = Config(cluster=Cluster(url=Secret("redis://x")), routing=Routing())
    for each in (config, alone):  # who has left the cluster goes on by them
        changed = with_marks(each, path).routing
        assert (changed.primary_account, changed.account_order) == ("third", ("b", "a"))
    path.unlink()
    assert with_marks(alone, path) is alone
