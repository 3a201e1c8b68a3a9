"""`neurolink cluster key`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from neurolink_mitm.adapters.cluster_key import read_cluster_key
from neurolink_mitm.cli import main


def neurolink(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def test_a_key_is_made_once_and_not_shown(home: Path) -> None:
    path = home / ".neurolink" / "cluster.key"
    made = neurolink("cluster", "key")
    assert made.exit_code == 0, made.output
    key = read_cluster_key(path).reveal()
    assert key not in made.output
    assert f"scp -p {path} HOST:" in made.output
    again = neurolink("cluster", "key")
    assert again.exit_code == 1
    assert "was left as it is" in again.output
    assert read_cluster_key(path).reveal() == key


def test_a_key_is_made_where_it_is_wanted(home: Path, tmp_path: Path) -> None:
    assert neurolink("cluster", "key", "--out", str(tmp_path / "key")).exit_code == 0
    assert read_cluster_key(tmp_path / "key")
    assert not (home / ".neurolink" / "cluster.key").exists()


def test_a_key_is_printed_for_a_secret_store(home: Path, tmp_path: Path) -> None:
    printed = neurolink("cluster", "key", "--print")
    (tmp_path / "key").write_text(printed.stdout)
    (tmp_path / "key").chmod(0o600)
    assert read_cluster_key(tmp_path / "key").reveal() == printed.stdout.strip()
    assert not (home / ".neurolink" / "cluster.key").exists()


@pytest.mark.parametrize(
    ("out", "code"), [("missing/key", 1), (".", 1)], ids=["no-folder", "a-folder"]
)
def test_where_none_can_be_made(home: Path, tmp_path: Path, out: str, code: int) -> None:
    made = neurolink("cluster", "key", "--out", str(tmp_path / out))
    assert made.exit_code == code
    assert made.output.startswith("neurolink: ")


def test_the_configuration_is_checked_for_its_key(home: Path) -> None:
    root = home / ".neurolink"
    root.mkdir(exist_ok=True)
    document = {"cluster": {"url": "redis://127.0.0.1:1/0"}}
    (root / "proxy-config.yaml").write_text(yaml.safe_dump(document))
    checked = neurolink("config", "check")
    assert checked.exit_code == 2
    assert "neurolink cluster key" in checked.output
    assert neurolink("cluster", "key").exit_code == 0
    assert neurolink("config", "check").exit_code == 0
