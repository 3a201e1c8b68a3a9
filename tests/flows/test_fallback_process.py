"""The translator starts, is killed, or can't start, while requests come."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest

from neurolink_mitm.adapters.translator import TranslatorProcess
from neurolink_mitm.addons.translate import PATIENCE
from neurolink_mitm.core.providers.translator import Setup
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, Provider, Routing
from neurolink_mitm.ports import Endpoint
from neurolink_mitm.sandbox import Reply
from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.stack import stack
from tests.anthropic_stream import validate
from tests.flows.fallen import LIMITED, chain
from tests.flows.harness import CLAUDE_CODE, Proxy, account, message
from tests.translator.providers import KINDS
from tests.translator.running import KEY, environment
from tests.waiting import wait_until

pytestmark = pytest.mark.timeout(180)

CHAT = KINDS["chat"]


class Owner:
    """Starts the process with the proxy, or leaves that to the first request, and ends it with the proxy."""

    def __init__(self, translator: TranslatorProcess, at_once: bool) -> None:
        self._translator = translator
        self._at_once = at_once

    async def running(self) -> None:
        if self._at_once:
            await self._translator.start()

    async def done(self) -> None:
        await self._translator.stop()


class Unaware(TranslatorProcess):
    """Does not notice that its process has ended until somebody lost it."""

    believed: Endpoint | None = None

    @property
    def endpoint(self) -> Endpoint | None:
        return self.believed or super().endpoint

    async def settle(self) -> None:
        self.believed = None
        await super().settle()


class World:
    """A proxy whose only account is limited, with a translator of its own."""

    def __init__(self, sandbox: SandboxServer, place: Path, stack: ExitStack) -> None:
        self._sandbox, self._place, self._stack = sandbox, place, stack

    def start(self, *, at_once: bool = True, **variables: str) -> None:
        """Without LiteLLM in it: the provider is not asked."""
        access = CHAT.access("http://127.0.0.1:9")
        self.translator = Unaware(
            self._place / "translator.log",
            Setup("test-secret", {CHAT.name: access}),
            environment(self._place, light=True) | variables,
        )
        own = Provider(access.base_url, Secret(KEY), "chat")
        config = Config(routing=Routing(fallback_chain=chain(CHAT)), providers={CHAT.name: own})
        owner = Owner(self.translator, at_once)
        self.proxy = self._stack.enter_context(
            Proxy(
                [account("a", self._sandbox.url)],
                config=config,
                translator=self.translator,
                addons=lambda runtime: [owner, *stack(runtime)],
            )
        )
        self._sandbox.script("a", LIMITED)

    def ask(self, timeout: float = 90) -> httpx.Response:
        url = f"{self.proxy.url}/v1/messages"
        answer = httpx.post(
            url, json=message(), headers=CLAUDE_CODE, timeout=timeout, trust_env=False
        )
        if answer.status_code == 200:
            validate(answer.content)
        return answer

    def at_once(self, number: int) -> list[httpx.Response]:
        """The answers of requests that come together."""
        with ThreadPoolExecutor(number) as threads:
            return list(threads.map(lambda _: self.ask(), range(number)))

    def left(self, after: float) -> None:
        """A client that waits for no answer."""
        with pytest.raises(httpx.ReadTimeout):
            self.ask(timeout=after)

    def served(self) -> httpx.Response:
        """An answer; of a later request, where the machine is so busy that the first has waited in vain."""
        deadline = time.monotonic() + 60
        while True:
            since = time.monotonic()
            answer = self.ask()
            if answer.status_code == 200 or since > deadline:
                return answer
            assert time.monotonic() - since > PATIENCE - 1, f"it was not waited for: {answer.text}"

    @property
    def report(self) -> Mapping[str, object]:
        return self.translator.report()

    def ready(self) -> int:
        """Its process id, once it listens."""
        wait_until(lambda: self.report["state"] == "ready", "the translator listens", 60)
        pid = self.report["pid"]
        assert isinstance(pid, int)
        return pid


@pytest.fixture
def world(sandbox: SandboxServer, tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(sandbox, tmp_path, stack)


def test_a_request_waits_while_it_starts(world: World) -> None:
    world.start()
    assert world.report["state"] != "ready"
    assert world.served().headers["x-neurolink-account"] == "openai/gpt-5"


def test_all_that_come_while_it_starts_are_served(world: World) -> None:
    world.start()
    answers = world.at_once(8)
    assert world.report["restarts"] == 0
    assert [answer.status_code for answer in answers] == [200] * 8


def test_who_leaves_while_it_starts_is_no_trouble(world: World) -> None:
    world.start()
    world.left(after=0.05)
    assert world.served().headers["x-neurolink-account"] == "openai/gpt-5"
    first = world.proxy.rows.wait(2)[0]
    assert first.outcome == "client_cancelled"


def test_it_is_started_by_the_request_that_needs_it(world: World) -> None:
    world.start(at_once=False)
    assert world.report["state"] == "stopped"
    assert world.ask().status_code == 200


def test_who_needs_it_not_does_not_wait_for_it(world: World, sandbox: SandboxServer) -> None:
    world.start(at_once=False)
    sandbox.script("a", Reply())
    assert world.ask().headers["x-neurolink-account"] == "a"
    assert world.report["state"] == "stopped"


def test_killed_in_the_middle_of_a_stream_it_is_started_again(world: World) -> None:
    world.start()
    pid = world.ready()
    asked = message(messages=[{"role": "user", "content": "slowly"}])
    came = bytearray()
    begun = threading.Event()

    def read() -> None:
        url = f"{world.proxy.url}/v1/messages"
        asking = httpx.stream("POST", url, json=asked, headers=CLAUDE_CODE, timeout=60)
        with asking as answer:
            for piece in answer.iter_raw():
                came.extend(piece)
                begun.set()

    reading = threading.Thread(target=read)
    reading.start()
    assert begun.wait(60)
    os.kill(pid, signal.SIGKILL)
    reading.join(60)
    cut = validate(bytes(came), allow_error=True)
    assert cut.text
    assert cut.error
    assert cut.error["type"] == "overloaded_error"

    assert world.served().headers["x-neurolink-account"] == "openai/gpt-5"
    assert world.report["restarts"] == 1
    assert world.report["pid"] != pid


def test_killed_while_nobody_asks_it_is_started_again(world: World) -> None:
    world.start()
    os.kill(world.ready(), signal.SIGKILL)
    assert world.ask().status_code == 200


def test_a_request_that_finds_it_dead_waits_for_the_next(world: World) -> None:
    world.start()
    pid = world.ready()
    world.translator.believed = world.translator.endpoint
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: world.report["restarts"] == 1, "it has ended", 60)
    answer = world.ask()
    assert (answer.status_code, answer.headers["x-neurolink-attempts"]) == (200, "3")
    (row,) = world.proxy.rows.wait()
    assert "once more, as the translator had ended" in row.why


def test_where_it_can_not_start_the_client_is_told_in_time(world: World) -> None:
    world.start(PYTHONHOME="/nowhere")
    since = time.monotonic()
    answer = world.ask()
    assert time.monotonic() - since < PATIENCE
    assert answer.status_code == 429
    said = answer.json()["error"]["message"]
    assert "openai/gpt-5: the translator, which asks other providers, is not running" in said
    assert world.report["lastError"]


def test_it_sees_nothing_of_anthropics(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test-env")
    world.start()
    seen = psutil.Process(world.ready()).environ()
    assert not [name for name in seen if "ANTHROPIC" in name or "CLAUDE" in name]
    assert "sk-ant" not in str(seen)
    assert not [each for each in psutil.Process(world.ready()).cmdline() if "test-secret" in each]
