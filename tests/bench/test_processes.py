"""The ways to run NeuroLink are what they are called. Real processes: what they write is the proof."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench import processes
from bench.children import ROOT
from bench.measure import measure
from bench.processes import Server
from bench.samples import Cell
from bench.variants import EARLIER, OFF, OPTIONS, ORDINARY, Variant, earlier
from tests.waiting import wait_until

REQUESTS = 3
BY_NAME = {each.name: each for each in (ORDINARY, *OPTIONS)}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Server]:
    with processes.upstream() as server:
        yield server


def written(upstream: Server, variant: Variant, awaited: set[str]) -> set[str]:
    """What is in its home after some requests, whose answers have been compared."""
    with processes.neurolink(upstream.port, variant) as server:
        assert server.name == variant.name
        home = Path(psutil.Process(server.pid).environ()["NEUROLINK_HOME"])
        asyncio.run(_ask(server))
        wait_until(lambda: awaited <= _names(home), f"{awaited} in {_names(home)}")
        return _names(home)


def _names(home: Path) -> set[str]:
    """Without their dates."""
    return {path.name.partition("-20")[0] for path in home.rglob("*")}


async def _ask(server: Server) -> None:
    for cell in (Cell("streamed", 1), Cell("whole", 2)):
        samples = await measure([server], cell, REQUESTS)
        assert samples[0].cost


@pytest.mark.parametrize(
    ("name", "has", "has_not"),
    [
        (OFF, set(), {"proxy", "proxy-attempts", "proxy-debug", "bodies", "shaping.key"}),
        ("neurolink", {"proxy", "proxy-attempts"}, {"proxy-debug", "bodies", "shaping.key"}),
        ("neurolink-capture-all", {"proxy", "proxy-debug", "bodies"}, {"shaping.key"}),
        ("neurolink-obfuscator", {"proxy", "shaping.key"}, {"proxy-debug", "bodies"}),
    ],
)
def test_what_it_writes(upstream: Server, name: str, has: set[str], has_not: set[str]) -> None:
    found = written(upstream, BY_NAME[name], has)
    assert found & has_not == set()


def test_an_earlier_one_is_run_from_its_checkout(upstream: Server, tmp_path: Path) -> None:
    (tmp_path / "neurolink_mitm").symlink_to(ROOT / "neurolink_mitm")
    with processes.neurolink(upstream.port, earlier(tmp_path)) as server:
        process = psutil.Process(server.pid)
        assert (server.name, process.cwd()) == (EARLIER, str(tmp_path))
        assert process.cmdline()[1:3] == ["-m", "neurolink_mitm.cli"]
