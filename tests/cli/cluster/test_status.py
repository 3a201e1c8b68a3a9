"""`neurolink cluster status`, with a real Redis."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neurolink_mitm.cli import main
from neurolink_mitm.cluster.redis.link import Link
from neurolink_mitm.cluster.replica import Replica
from neurolink_mitm.core.cluster.members import Member
from neurolink_mitm.core.redact.secret import Secret
from tests.cluster.conftest import redis_server as redis_server
from tests.cluster.redis_server import RedisServer


def status(*options: str) -> Result:
    return CliRunner().invoke(main, ["cluster", "status", *options], prog_name="neurolink")


def configured(home: Path, url: str) -> None:
    folder = home / ".neurolink"
    folder.mkdir(exist_ok=True)  # without a key: it needs none
    (folder / "proxy-config.yaml").write_text(f"version: 1\ncluster: {{url: '{url}'}}\n")


def test_without_a_cluster_it_says_so(home: Path) -> None:
    ended = status()
    assert ended.exit_code == 2
    assert "cluster.url" in ended.stderr


def test_without_redis_it_says_so(home: Path) -> None:
    configured(home, "redis://:hunter2@127.0.0.1:1/0")
    ended = status()
    assert ended.exit_code == 1
    assert "Redis: away" in ended.stdout
    assert "hunter2" not in ended.output


@pytest.mark.real("redis")
async def test_from_a_machine_that_has_only_the_configuration(
    home: Path, redis_server: RedisServer
) -> None:
    configured(home, redis_server.url)
    replica = Replica(
        Link(Secret(redis_server.url), "nl"), "id", lambda _: Member("eu-1", "1.0", requests=5)
    )
    await replica.start()
    try:
        ended = await asyncio.to_thread(status, "--format", "json")
    finally:
        await replica.stop()
    assert ended.exit_code == 0, ended.output
    report = json.loads(ended.stdout)
    assert report["redis"]["state"] == "connected"
    assert [each["name"] for each in report["replicas"]] == ["eu-1"]
    assert report["stats"]["totalRequests"] == 5
    left = await asyncio.to_thread(status)
    assert left.exit_code == 0
    assert "0 replicas" in left.stdout  # a replica that ends is gone at once
