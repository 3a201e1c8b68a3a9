from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.cluster.members import Members, members
from tests.cluster.redis_server import RedisServer


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, which it may stop and kill."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that the tests of a file share."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """A client of the shared server, which is empty."""
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client


@pytest.fixture
def namespace() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def pool(tmp_path: Path, server: RedisServer, redis: Redis) -> Iterator[Members]:
    """Homes that share the namespace `nl`."""
    with members(tmp_path, server.url, "nl") as made:
        yield made
