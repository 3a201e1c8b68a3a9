"""A proxy's part in a cluster, as it is wired: what it reports, and what a reload that switches it off leaves."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from neurolink_mitm.adapters.cluster_key import make_cluster_key
from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.mark_file import read_marks, replace_marks
from neurolink_mitm.app.cluster import ClusterSwitch
from neurolink_mitm.app.wiring import Prepared, Settings, prepare
from neurolink_mitm.config.reloader import Reloader
from neurolink_mitm.core.pool.affinity import Session
from neurolink_mitm.core.status import status
from tests.cluster.redis_server import RedisServer

KEY = "sk-ant-api03-plain"
ACCOUNTS = f"accounts: {{anthropic: [{{name: work, apiKey: {KEY}}}]}}\n"
S: Session = ("session-1", "opus")
LIMIT = 5


def prepared(folder: Path, config: str, **environ: str) -> Prepared:
    home = Home(folder)
    home.create()
    if not home.cluster_key.exists():
        make_cluster_key(home.cluster_key)
    home.config.write_text(ACCOUNTS + config)
    return prepare(Settings({"NEUROLINK_HOME": str(folder), **environ}, port=5))


def switch(of: Prepared) -> ClusterSwitch:
    [found] = [each for each in of.components if isinstance(each, ClusterSwitch)]
    return found


def test_without_a_cluster_there_is_no_report_and_no_redis(tmp_path: Path) -> None:
    loaded = {name for name in sys.modules if name.startswith("neurolink_mitm.cluster.")}
    proxy = prepared(tmp_path, "")
    assert proxy.runtime.cluster is None
    assert status.report(proxy.runtime, 0.0)["cluster"] is None
    assert {name for name in sys.modules if name.startswith("neurolink_mitm.cluster.")} == loaded


async def test_a_replica_that_has_never_reached_redis_shows_itself(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
    alone = prepared(tmp_path, f"cluster: {{url: '{url}'}}\n", NEUROLINK_REPLICA="eu-1")
    await switch(alone).start()
    try:
        report = await reported(alone, 1)
        assert report["redis"]["state"] == "away"
        assert [(each["name"], each["self"]) for each in report["replicas"]] == [("eu-1", True)]
        assert alone.runtime.cluster
        assert alone.runtime.cluster.gauges(time.time())["proxy_cluster_replicas"] == 1
    finally:
        await switch(alone).stop()


async def reported(proxy: Prepared, replicas: int) -> Any:
    async with asyncio.timeout(LIMIT):
        while True:
            report: Any = status.report(proxy.runtime, time.time())["cluster"]
            if report and len(report["replicas"]) == replicas:
                return report
            await asyncio.sleep(0.02)


@pytest.mark.real("redis")
async def test_two_proxies_are_one_pool(redis_server: RedisServer, tmp_path: Path) -> None:
    config = f"cluster: {{url: '{redis_server.url}'}}\n"
    one = prepared(tmp_path / "one", config, NEUROLINK_REPLICA="eu-\x1b1")
    Home(tmp_path / "two").create()
    key = Home(tmp_path / "one").cluster_key
    Home(tmp_path / "two").cluster_key.write_bytes(key.read_bytes())
    Home(tmp_path / "two").cluster_key.chmod(0o600)
    two = prepared(tmp_path / "two", config + "timeouts: {total: 5}\n")
    for each in (one, two):
        await switch(each).start()
    try:
        report = await reported(one, 2)
        assert report["replica"] == "eu-?1"
        assert report["redis"]["state"] == "connected"
        by_name = {each["name"]: each for each in report["replicas"]}
        [other] = [name for name in by_name if name != "eu-?1"]
        assert other.endswith(":5")
        assert sum(bool(each["differs"]) for each in report["replicas"]) == 1
        assert "timeouts" in (by_name[other]["differs"] or by_name["eu-?1"]["differs"])
        affinities = one.runtime.pool.affinity, two.runtime.pool.affinity
        assert affinities[0]
        assert affinities[1]
        affinities[0].served(S, "anthropic:work", time.time())
        async with asyncio.timeout(LIMIT):
            while affinities[1].home(S, time.time()) is None:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        await alone_again(two)
        assert affinities[1].home(S, time.time()) == "anthropic:work"
        assert len((await reported(one, 1))["replicas"]) == 1
    finally:
        for each in (one, two):
            await switch(each).stop()


async def alone_again(proxy: Prepared) -> None:
    """By a reload without the section."""
    assert proxy.sources
    replace_marks(proxy.home.cluster_marks, {"primary": "work"}, None)
    proxy.home.config.write_text(ACCOUNTS)
    await Reloader(proxy.runtime, proxy.sources).reload()
    async with asyncio.timeout(LIMIT):
        while proxy.runtime.cluster is not None:  # noqa: ASYNC110 - it says goodbye to Redis
            await asyncio.sleep(0.02)
    assert proxy.runtime.config.routing.primary_account == "work"
    proxy.home.config.write_text(ACCOUNTS + "routing: {primary-account: other}\n")
    await Reloader(proxy.runtime, proxy.sources).reload()
    assert proxy.runtime.config.routing.primary_account == "other"
    async with asyncio.timeout(LIMIT):
        while read_marks(proxy.home.cluster_marks, None) != {"primary": "other"}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    proxy.home.config.write_text(ACCOUNTS)
    await Reloader(proxy.runtime, proxy.sources).reload()
    assert proxy.runtime.config.routing.primary_account is None
