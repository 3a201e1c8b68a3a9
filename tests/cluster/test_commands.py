"""Commands on homes of one cluster, without a proxy, through a real Redis."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from redis import Redis

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.cli import main
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.members import KEY, login
from tests.cluster.redis_server import RedisServer

pytestmark = pytest.mark.real("redis")


class Machine:
    """A home with its configuration."""

    def __init__(self, folder: Path, url: str, key: Secret = KEY) -> None:
        self.home = Home(folder)
        self.home.create()
        self.home.cluster_key.write_text(key.reveal())
        self.home.cluster_key.chmod(0o600)
        self.home.config.write_text(yaml.safe_dump({"cluster": {"url": url}}))

    def neurolink(self, *arguments: str) -> Result:
        environ = {"NEUROLINK_HOME": str(self.home.root)}
        result = CliRunner().invoke(main, arguments, env=environ)
        assert "sk-ant" not in result.output
        return result

    def states(self) -> dict[str, str]:
        rows = json.loads(self.neurolink("auth", "list", "--format", "json").stdout)["accounts"]
        return {row["label"]: row["state"] for row in rows}


@pytest.fixture
def machines(tmp_path: Path, server: RedisServer, redis: Redis) -> tuple[Machine, Machine]:
    one, two = Machine(tmp_path / "one", server.url), Machine(tmp_path / "two", server.url)
    TokenStore(one.home).save(login("1"))
    TokenStore(one.home).save(login("2", label="other"))
    return one, two


def test_what_is_done_on_one_is_seen_on_the_other(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    assert one.states() == two.states() == {"work": "ready", "other": "ready"}
    for words, label, state in (
        ("auth pause work", "work", "paused"),
        ("auth resume work", "work", "ready"),
        ("auth disable other", "other", "disabled"),
        ("auth enable other", "other", "ready"),
    ):
        assert two.neurolink(*words.split()).exit_code == 0
        assert one.states()[label] == state
    one.neurolink("auth", "set-primary", "other")
    assert two.neurolink("auth", "get-primary").output == "other\n"
    two.neurolink("auth", "clear-primary")
    assert "no primary" in one.neurolink("auth", "get-primary").output
    one.neurolink("auth", "order", "other", "work")
    assert two.neurolink("auth", "order").output == "order of use: other, work\n"
    assert two.neurolink("auth", "logout", "work", "--force").exit_code == 0
    assert one.states() == {"other": "ready"}


def test_client_keys(machines: tuple[Machine, Machine]) -> None:
    one, two = machines
    assert one.neurolink("clients", "add", "laptop").stdout.startswith("sk-nl-")
    again = two.neurolink("clients", "add", "laptop")
    assert "there is a client" in again.output
    assert two.neurolink("clients", "revoke", "laptop").exit_code == 0
    assert "laptop" not in one.neurolink("clients", "list").output


def test_without_redis_a_command_does_its_work(tmp_path: Path) -> None:
    alone = Machine(tmp_path, "redis://127.0.0.1:1/0")
    TokenStore(alone.home).save(login("1"))
    began = time.monotonic()
    paused = alone.neurolink("auth", "pause", "work")
    assert time.monotonic() - began < 3
    assert paused.exit_code == 0
    assert paused.output.count("the other replicas hear of changes when Redis is back") == 1
    assert alone.states() == {"work": "paused"}


def test_a_hanging_redis_does_not_hang_a_command(tmp_path: Path, server: RedisServer) -> None:
    machine = Machine(tmp_path, server.url)
    TokenStore(machine.home).save(login("1"))
    server.hang()
    try:
        began = time.monotonic()
        assert machine.states() == {"work": "ready"}
        assert time.monotonic() - began < 4
    finally:
        server.go_on()


def test_a_missing_key_is_said(tmp_path: Path, server: RedisServer) -> None:
    machine = Machine(tmp_path, server.url)
    machine.home.cluster_key.unlink()
    result = machine.neurolink("auth", "list")
    assert result.exit_code == 2
    assert "neurolink cluster key" in result.output
