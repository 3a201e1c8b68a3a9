"""The real process, without LiteLLM in it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from neurolink_mitm.adapters.log_trim import MAX_BYTES
from neurolink_mitm.adapters.translator import HOPELESS, TranslatorProcess
from neurolink_mitm.core.providers.catalog import environment_for
from neurolink_mitm.core.providers.translator import Setup
from neurolink_mitm.ports import Endpoint
from tests.translator.running import environment
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

LIMIT = 60.0
SETUP = Setup("test-secret")
PARENT = Path(__file__).with_name("translator_parent.py")
BROKEN = {"PYTHONHOME": "/nowhere"}
"""With this in its environment, Python can't start."""


@asynccontextmanager
async def running(place: Path, **variables: str) -> AsyncIterator[TranslatorProcess]:
    process = TranslatorProcess(
        place / "logs" / "translator.log", SETUP, environment(place, light=True) | variables
    )
    try:
        yield process
    finally:
        await process.stop()


async def until(holds: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(wait_until, holds, what, LIMIT)


async def health(endpoint: Endpoint) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{endpoint.port}/health")).status_code


async def answered(endpoint: Endpoint, secret: str = "test-secret") -> httpx.Response:
    headers = {"authorization": f"Bearer {secret}", "x-neurolink-provider": "groq",
               "x-neurolink-model": "llama"}  # fmt: skip
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    url = f"http://127.0.0.1:{endpoint.port}/v1/messages"
    async with httpx.AsyncClient(trust_env=False, timeout=LIMIT) as client:
        return await client.post(url, json=body, headers=headers)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_a_life(tmp_path: Path) -> None:
    """One process for several facts: it takes seconds to start."""
    variables = {"ANTHROPIC_API_KEY": "sk-ant-test-1", "ANTHROPIC_AUTH_TOKEN": "x", "HOME": "/",
                 "OTHER": "sk-ant-test-2", "OPENAI_ORG": "o", "PATH": os.environ["PATH"]}  # fmt: skip
    variables = environment_for(frozenset({"openai"}), variables)
    async with running(tmp_path, **variables) as process:
        assert process.report()["state"] == "stopped", "nothing is started before it is needed"
        endpoint = await process.wait(LIMIT)
        assert endpoint
        report = process.report()
        assert (report["state"], report["port"], report["restarts"]) == ("ready", endpoint.port, 0)
        assert isinstance(report["rss"], int)
        assert await health(endpoint) == 200
        assert "test-secret" not in repr(endpoint)

        pid = report["pid"]
        assert isinstance(pid, int)
        seen = psutil.Process(pid)
        assert seen.environ()["OPENAI_ORG"] == "o"
        assert not [name for name in seen.environ() if "ANTHROPIC" in name or name == "OTHER"]
        assert "sk-ant" not in str(seen.environ())
        assert "test-secret" not in str([*seen.cmdline(), *seen.environ().values()])
        (listens,) = {c.laddr for c in seen.net_connections("inet") if c.status == "LISTEN"}
        assert listens.ip == "127.0.0.1"
        log = tmp_path / "logs" / "translator.log"
        assert log.stat().st_mode & 0o777 == 0o600

        assert (await answered(endpoint, "new-secret")).status_code == 403
        process.configure(Setup("new-secret"), process_environment(process))
        async with asyncio.timeout(LIMIT):
            while (await answered(endpoint, "new-secret")).status_code != 200:
                pass
        assert process.report()["pid"] == pid, "a new line is enough"


async def test_killed_it_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        assert await process.wait(LIMIT)
        pid = process.report()["pid"]
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGKILL)
        await process.settle()
        assert process.endpoint is None, "its end is noticed"
        await until(lambda: process.report()["restarts"] == 1, "it is told")
        assert "ended with code -9" in str(process.report()["lastError"])
        again = await process.wait(LIMIT)
        assert again
        assert await health(again) == 200
        last = process.report()["pid"]
        assert last != pid
    assert isinstance(last, int)
    assert gone(last), "it ends with whoever has started it"
    assert process.report()["state"] == "stopped"


def process_environment(process: TranslatorProcess) -> dict[str, str]:
    return process._environment


async def test_another_environment_asks_for_another_process(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        assert await process.wait(LIMIT)
        first = process.report()["pid"]
        process.configure(SETUP, environment(tmp_path, light=True) | {"OPENAI_ORG": "o"})
        await until(lambda: process.report()["pid"] not in (None, first), "another starts")
        assert await process.wait(LIMIT)
        pid: Any = process.report()["pid"]
        assert psutil.Process(pid).environ()["OPENAI_ORG"] == "o"


async def test_one_that_can_not_start_is_tried_again_and_said_so(tmp_path: Path) -> None:
    async with running(tmp_path, **BROKEN) as process:
        assert await process.wait(0.1) is None
        await until(lambda: process.report()["restarts"], "it ended")
        assert process.endpoint is None
        assert "ended with code" in str(process.report()["lastError"])
        process.configure(SETUP, environment(tmp_path, light=True))
        assert await process.wait(LIMIT), "the next one has what it needs"


async def test_nobody_waits_for_one_that_never_starts(tmp_path: Path) -> None:
    async with running(tmp_path, **BROKEN) as process:
        for when in ("from its first start", "since it is hopeless"):
            async with asyncio.timeout(LIMIT):
                assert await process.wait(LIMIT * 10) is None, when
            assert int(str(process.report()["restarts"])) >= HOPELESS
        process.configure(SETUP, environment(tmp_path, light=True))
        await until(lambda: process.endpoint, "but it is tried, and starts once it can")
        assert await process.wait(0)


async def test_who_waits_is_not_kept_longer_than_asked(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        async with asyncio.timeout(LIMIT):
            assert await process.wait(0.05) is None
        assert process.report()["state"] == "starting"


async def test_it_can_be_stopped_while_it_starts(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        await process.start()
        await until(lambda: process.report()["pid"], "it has begun")
        pid = process.report()["pid"]
        await process.stop()
    assert isinstance(pid, int)
    assert gone(pid)


async def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "translator.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (MAX_BYTES["translator.log"] + 1))
    async with running(tmp_path) as process:
        await process.start()
        await until(lambda: process.report()["pid"], "it has begun")
    assert log.stat().st_size < MAX_BYTES["translator.log"]
    assert log.with_suffix(".log.1").stat().st_size == MAX_BYTES["translator.log"] + 1


async def test_without_a_place_for_its_log_it_starts_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    async with running(tmp_path) as process:
        await process.start()
        await until(lambda: process.report()["pid"], "it has begun")


def test_it_is_gone_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, PARENT, tmp_path / "translator.log"],
        stdout=subprocess.PIPE,
        env=environment(tmp_path, light=True),
    )
    try:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert not gone(child)
    finally:
        parent.kill()
        parent.wait(LIMIT)
        assert parent.stdout
        parent.stdout.close()
    wait_until(lambda: gone(child), "the translator is gone")
