"""The ways to run NeuroLink are what they are called. Real processes: what they write is the proof."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench import processes
from bench.certificates import make_certificates
from bench.children import HOST, ROOT
from bench.measure import measure
from bench.processes import Server, Target
from bench.samples import Cell
from bench.variants import EARLIER, OFF, OPTIONS, ORDINARY, Variant, earlier, with_accounts
from tests.waiting import wait_until

REQUESTS = 3
BY_NAME = {each.name: each for each in (ORDINARY, *OPTIONS)}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Target]:
    with processes.upstream() as target:
        yield target


def written(upstream: Target, variant: Variant, awaited: set[str]) -> set[str]:
    """What is in its home after some requests, whose answers have been compared."""
    with processes.neurolink(upstream, variant=variant) as server:
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
        assert (samples[0].cost is None) == (server.pid is None)


@pytest.mark.parametrize(
    ("name", "has", "has_not"),
    [
        (OFF, set(), {"proxy", "proxy-attempts", "proxy-debug", "bodies", "shaping.key"}),
        (
            "neurolink-capture-all",
            {"proxy", "proxy-attempts", "proxy-debug", "bodies"},
            {"shaping.key"},
        ),
        ("neurolink-obfuscator", {"proxy", "shaping.key"}, {"proxy-debug", "bodies"}),
    ],
)
def test_what_it_writes(upstream: Target, name: str, has: set[str], has_not: set[str]) -> None:
    found = written(upstream, BY_NAME[name], has)
    assert found & has_not == set()


def test_over_tls_and_from_afar(tmp_path: Path) -> None:
    """The client itself, mitmdump and NeuroLink trust the run's authority."""
    certificates = make_certificates(tmp_path, HOST)
    with (
        processes.upstream(certificates) as upstream,
        processes.forwarder(upstream, 1) as target,
        processes.mitmdump(target) as stock,
        processes.neurolink(target) as ours,
    ):
        for server in (target.direct, stock, ours):
            asyncio.run(_ask(server))


def test_accounts_are_distributed_over_upstreams(upstream: Target) -> None:
    """The first one limits every request, so the second answers."""
    with (
        processes.upstream(limited_every=1) as limited,
        processes.neurolink(limited, upstream, variant=with_accounts(2)) as server,
    ):
        asyncio.run(_ask(server))


def test_an_earlier_one_is_run_from_its_checkout(upstream: Target, tmp_path: Path) -> None:
    (tmp_path / "neurolink_mitm").symlink_to(ROOT / "neurolink_mitm")
    with processes.neurolink(upstream, variant=earlier(tmp_path)) as server:
        process = psutil.Process(server.pid)
        assert (server.name, process.cwd()) == (EARLIER, str(tmp_path))
        assert process.cmdline()[1:3] == ["-m", "neurolink_mitm.cli"]
