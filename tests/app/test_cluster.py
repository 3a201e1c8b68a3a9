"""A replica begins, changes and ends with the configuration, while requests go on."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest
import yaml

from neurolink_mitm.adapters.cluster_key import new_key
from neurolink_mitm.app.cluster import ClusterSwitch
from neurolink_mitm.app.wiring import Settings, prepare
from neurolink_mitm.config.reloader import Reloader
from neurolink_mitm.ports import Runtime
from tests.cluster.feeds import until

NOWHERE = "redis://127.0.0.1:1/0"


class Proxy:
    """One that is prepared, of which only the cluster is started."""

    def __init__(self, home: Path, **cluster: str) -> None:
        self._folder = home / ".neurolink"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        key = self._folder / "cluster.key"
        key.write_text(new_key().reveal())
        key.chmod(0o600)
        self.write(cluster)
        environ = {"NEUROLINK_HOME": str(self._folder), "KEY": "sk-ant-test-a"}
        self._prepared = prepare(Settings(environ))
        switches = [each for each in self._prepared.components if isinstance(each, ClusterSwitch)]
        (self.switch,) = switches

    @property
    def runtime(self) -> Runtime:
        return self._prepared.runtime

    def write(self, cluster: dict[str, str]) -> None:
        document: dict[str, object] = {
            "accounts": {"anthropic": [{"name": "a", "apiKey": "${KEY}"}]}
        }
        if cluster:
            document["cluster"] = cluster
        (self._folder / "proxy-config.yaml").write_text(yaml.safe_dump(document))

    async def reload(self, **cluster: str) -> None:
        self.write(cluster)
        assert self._prepared.sources
        await Reloader(self.runtime, self._prepared.sources).reload()
        assert self.runtime.config_errors == ()

    @property
    def namespace(self) -> object:
        cluster = self.runtime.cluster
        return cluster.report()["namespace"] if cluster else None


def tasks() -> set[str]:
    return {
        str(task.get_coro()) for task in asyncio.all_tasks() if "run_again" in str(task.get_coro())
    }


async def test_a_start_without_redis_waits_a_second_and_a_stop_not_at_all(home: Path) -> None:
    proxy = Proxy(home, url=NOWHERE)
    began = time.monotonic()
    await proxy.switch.start()
    assert 0.5 < time.monotonic() - began < 2
    assert proxy.namespace == "nl"
    began = time.monotonic()
    await proxy.switch.stop()
    assert time.monotonic() - began < 0.5
    assert (proxy.namespace, tasks()) == (None, set())


async def test_a_stop_ends_a_start_that_waits(home: Path) -> None:
    proxy = Proxy(home, url=NOWHERE)
    starting = asyncio.ensure_future(proxy.switch.start())
    await until(lambda: proxy.namespace, "the replica")
    began = time.monotonic()
    await proxy.switch.stop()
    assert time.monotonic() - began < 0.5
    await starting
    assert (proxy.namespace, tasks()) == (None, set())


async def test_a_reload_adds_changes_and_removes_the_cluster(home: Path) -> None:
    proxy = Proxy(home)
    await proxy.switch.start()
    assert proxy.namespace is None
    await proxy.reload(url=NOWHERE)
    await until(lambda: proxy.namespace == "nl", "the replica")
    for namespace in ("one", "two", "three"):
        await proxy.reload(url=NOWHERE, namespace=namespace)
    await until(lambda: proxy.namespace == "three", "the last one")
    await proxy.reload()
    await until(lambda: proxy.namespace is None and not tasks(), "the end")
    await proxy.switch.stop()


async def test_one_that_cannot_begin_leaves_the_proxy_by_itself(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(home)
    await proxy.switch.start()
    with monkeypatch.context() as broken:
        broken.setattr("neurolink_mitm.app.cluster.feeds_of", None)
        with caplog.at_level(logging.ERROR, "neurolink.cluster"):
            await proxy.reload(url=NOWHERE)
            await until(lambda: caplog.records, "the line")
    assert (proxy.namespace, tasks()) == (None, set())
    await proxy.reload(url=NOWHERE, namespace="again")
    await until(lambda: proxy.namespace == "again", "the replica")
    await proxy.switch.stop()
