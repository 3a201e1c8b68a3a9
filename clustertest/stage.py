"""All that a scenario stands on: Redis, HAProxy as `deploy/` has it, three replicas, the counting upstream."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from bench.children import HOST, ROOT, child
from clustertest.load import Clients
from clustertest.relay import Relay
from clustertest.replicas import Pool, Replica, get, get_json
from clustertest.upstream import Arrival, Refresh
from soak.processes import free_ports
from tests.cluster.redis_server import RedisServer

REPLICAS = 3
_PASSING = 60
"""Seconds: what Redis keeps for less is not written back."""
CONFIG = ROOT / "deploy" / "haproxy.cfg"


class Upstream:
    """The counting upstream, as the scenarios control and read it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ports = ports

    async def set(self, **accounts: dict[str, Any]) -> None:
        """Change how accounts answer, by the fields of `clustertest.upstream.Account`."""
        await self._control({"accounts": accounts})

    async def reset(self) -> None:
        """Count from zero."""
        await self._control({"reset": True})

    async def arrivals(self) -> list[Arrival]:
        return [Arrival(**each) for each in (await self.record())["arrivals"]]

    async def refreshes(self) -> list[Refresh]:
        return [Refresh(**each) for each in (await self.record())["refreshes"]]

    async def record(self) -> dict[str, Any]:
        return await asyncio.to_thread(get_json, self.ports[0], "/record")

    async def _control(self, order: dict[str, Any]) -> None:
        reader, writer = await asyncio.open_connection(HOST, self.ports[0])
        body = json.dumps(order).encode()
        writer.write(b"POST /control HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await reader.readuntil(b"\r\n\r\n")
        writer.close()


class Stage:
    """The running parts."""

    def __init__(
        self,
        upstream: Upstream,
        redis: RedisServer,
        relays: Sequence[Relay],
        replicas: Sequence[Replica],
        port: int,
    ) -> None:
        self.upstream, self.redis, self.relays = upstream, redis, relays
        self.replicas = replicas
        self.clients = Clients(port)
        """They call the balancer."""
        self.control: Replica | None = None
        """A proxy without a cluster, which nothing happens to."""
        self.port = port

    async def until_balanced(self, up: int = REPLICAS) -> None:
        """Wait until the balancer sends requests to `up` replicas, and all of these have seen one another."""
        async with asyncio.timeout(20):
            while await asyncio.to_thread(_up, self.replicas) != up:
                await asyncio.sleep(0.05)
            while (await asyncio.to_thread(get, self.port, "/ready"))[0] != 200:
                await asyncio.sleep(0.05)
        # the balancer's checks: two good ones in a row, 0.5 s apart
        await asyncio.sleep(1.2)

    async def redis_keys(self) -> dict[str, int]:
        """Return the keys in Redis with the bytes that they take; not what is under way (locks, probes)."""
        from redis.asyncio import Redis

        async with Redis(port=self.redis.port) as redis:
            keys = [key async for key in redis.scan_iter(count=1000)]
            kept = [key for key in keys if not 0 <= await redis.ttl(key) < _PASSING]
            return {key.decode(): await redis.memory_usage(key) or 0 for key in kept}

    async def redis_info(self) -> dict[str, float]:
        """Return Redis' memory in MB, and its keys."""
        from redis.asyncio import Redis

        async with Redis(port=self.redis.port) as redis:
            info = await redis.info("memory")
            return {"mb": info["used_memory"] / 1e6, "keys": await redis.dbsize()}


def _up(replicas: Sequence[Replica]) -> int:
    return sum(get(replica.port, "/ready")[0] == 200 for replica in replicas if replica.pid)


@asynccontextmanager
async def stage(
    pool: Pool,
    *,
    clustered: bool = True,
    relayed: bool = False,
    control: bool = False,
    ahead: Sequence[float] = (0.0, 0.0, 0.0),
) -> AsyncIterator[Stage]:
    """Start everything. Raises StartError.

    `relayed`: replicas reach Redis through the relays. `control`: beside them runs a proxy without a cluster.
    `ahead`: seconds by which the replicas' clocks are wrong.
    """
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(_workplace()))
        front, *ports = free_ports(2 * REPLICAS + 3)
        upstream_ports, own_ports = ports[: REPLICAS + 1], ports[REPLICAS + 1 :]
        stack.enter_context(_upstream(upstream_ports, home / "upstream"))
        (home / "redis").mkdir()
        redis = stack.enter_context(RedisServer(home / "redis"))
        relays = [await stack.enter_async_context(Relay(redis.port)) for _ in range(REPLICAS)]
        replicas = [
            Replica(n, home / f"replica-{n}", own_ports[n], upstream_ports[n], pool)
            for n in range(REPLICAS)
        ]
        key = await replicas[0].command("cluster", "key", "--print") if clustered else None
        for replica, relay in zip(replicas, relays, strict=True):
            redis_port = relay.port if relayed else redis.port
            cluster = {"url": f"redis://{HOST}:{redis_port}/0"} if clustered else None
            replica.lay_out(cluster, key)
            stack.push_async_callback(replica.end)
        await _start_all(replicas, ahead)
        stack.enter_context(_balancer(front, own_ports[:REPLICAS], home / "haproxy"))
        running = Stage(Upstream(upstream_ports), redis, relays, replicas, front)
        if control:
            running.control = Replica(
                REPLICAS, home / "control", own_ports[-1], upstream_ports[-1], pool
            )
            running.control.lay_out(None, None)
            stack.push_async_callback(running.control.end)
            await running.control.start()
        await running.until_balanced()
        yield running
        running.clients.close()


async def _start_all(replicas: Sequence[Replica], ahead: Sequence[float]) -> None:
    """Start all; one that fails breaks off when the others have started, and can be ended, too."""
    starts = (replica.start(seconds) for replica, seconds in zip(replicas, ahead, strict=True))
    for result in await asyncio.gather(*starts, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


@contextmanager
def _upstream(ports: Sequence[int], home: Path) -> Iterator[None]:
    home.mkdir()
    command = [sys.executable, "-m", "clustertest.upstream", *map(str, ports)]
    ready = lambda: get(ports[-1], "/record")[0] == 200  # noqa: E731
    with child("upstream", command, home, ready, stdin=subprocess.PIPE):
        yield


@contextmanager
def _balancer(port: int, replicas: Sequence[int], home: Path) -> Iterator[None]:
    home.mkdir()
    settings = {
        "NEUROLINK_FRONTEND": f"{HOST}:{port}",
        **{f"NEUROLINK_REPLICA_{n}": f"{HOST}:{p}" for n, p in enumerate(replicas, 1)},
    }
    command = ["haproxy", "-db", "-f", str(CONFIG)]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    with child(
        "haproxy", command, home, lambda: get(port, "/ready")[0] != 0, {**settings, "PATH": path}
    ):
        yield


@contextmanager
def _workplace() -> Iterator[str]:
    # a process that is being killed may write a moment longer
    with tempfile.TemporaryDirectory(prefix="clustertest-", ignore_cleanup_errors=True) as name:
        yield name
