"""The real proxy, with strangers in front of it and a broken upstream behind it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import h11
import psutil
from hypothesis import strategies as st

from bench.children import child
from neurolink_mitm.dataplane.client import TLS_ALERT
from soak.processes import HOST, free_ports
from tools.fuzz import inputs
from tools.fuzz.pure import CLOAKING, Target
from tools.fuzz.verdict import ALARMS, GROWTH_MB, STALL, Diagnostic

T = TypeVar("T")
KEY = "sk-ant-test-fuzz-"
TIMEOUTS = {"connect": 1, "first-event": 1, "idle": 1, "total": 2}
PATIENCE = 10.0
"""Seconds after which a request hangs: three rounds of attempts, each as long as its limits allow."""
QUIET = 0.15
"""Seconds of silence after which a stranger who has sent something odd says no more."""
LANES = 8
"""Connections at once."""
_LANE = re.compile(rb"[?&]lane=(\d)")
_GOOD = inputs.ANSWERS[0].replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)


class Upstream:
    """Answers with the bytes that a lane is to get, and notes where the pool's credentials went."""

    def __init__(self) -> None:
        self.port = 0
        self.scripts: Sequence[Sequence[bytes]] = ()
        self.astray: deque[str] = deque(maxlen=20)

    async def serve(self) -> None:
        server = await asyncio.start_server(self._client, HOST, 0, limit=inputs.MB)
        self.port = server.sockets[0].getsockname()[1]

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError
        ):
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                self._judge(head)
                for chunk in self._script(head):
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write_eof()
                await reader.read()
        writer.close()

    def _script(self, head: bytes) -> Sequence[bytes]:
        found = _LANE.search(head)
        lane = int(found[1]) if found else len(self.scripts)
        return self.scripts[lane] if lane < len(self.scripts) else (_GOOD,)

    def _judge(self, head: bytes) -> None:
        if KEY.encode() in head:
            target = head.split(b" ", 2)[1].decode("latin-1")
            if not stays_under(target, "/pool/v1/"):
                self.astray.append(target[:200])


def stays_under(target: str, prefix: str) -> bool:
    """Whatever a server makes of it: decoded never, once or twice, with backslashes as slashes."""
    path = target.partition("?")[0].partition("#")[0]
    for _ in range(3):
        for form in (path, path.replace("\\", "/")):
            if not re.sub("/+", "/", _without_dots(form)).startswith(prefix):
                return False
        path = urllib.parse.unquote(path, "latin-1")
    return True


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        name = part.partition(";")[0]
        if name == "..":
            kept[1:] = kept[1:-1]
        elif name != ".":
            kept.append(part)
    return "/".join(kept)


class Lab:
    """The proxy, its upstream, and somebody who asks for `/health` all the time."""

    def __init__(
        self, pid: int, port: int, home: Path, upstream: Upstream, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._process, self._port, self._home = psutil.Process(pid), port, home
        self._upstream, self._loop = upstream, loop
        self._read = 0
        self._ended = threading.Event()
        self._worst = 0.0
        self.delays: list[float] = []
        self._first_rss = 0.0
        self._prober = threading.Thread(target=self._probe, daemon=True)
        self._prober.start()

    def strangers(self, connections: Sequence[Sequence[bytes]]) -> None:
        """Bytes of anybody, on several connections at once; upstream behaves."""
        self._try([], connections)

    def upstreams(self, scripts: Sequence[Sequence[bytes]]) -> None:
        """Good requests, each of which meets an upstream of its own."""
        self._try(scripts, [[_request(lane)] for lane in range(len(scripts))])

    def _try(
        self, scripts: Sequence[Sequence[bytes]], connections: Sequence[Sequence[bytes]]
    ) -> None:
        """A stall counts only if it comes three times: others use the machine, too."""
        for _ in range(3):
            self._upstream.scripts, self._worst = scripts, 0.0
            answers = self._wait(self._ask_all(connections))
            self._judge(answers, whole=bool(scripts))
            if self._worst <= STALL:
                return
        raise Diagnostic(f"/health took {self._worst:.2f} s")

    async def _ask_all(self, connections: Sequence[Sequence[bytes]]) -> list[bytes | None]:
        await self._exchange([self._reset()])
        return list(await asyncio.gather(*map(self._exchange, connections)))

    async def _exchange(self, chunks: Sequence[bytes]) -> bytes | None:
        """What comes back; None if the proxy holds a connection whose client has said its last."""
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(HOST, self._port)
            try:
                with suppress(OSError):
                    for chunk in chunks:
                        writer.write(chunk)
                        await asyncio.wait_for(writer.drain(), PATIENCE)
                whole = b"connection: close" in b"".join(chunks)
                got = await _until_silent(reader, PATIENCE if whole else QUIET)
                with suppress(OSError):
                    writer.write_eof()
                return got + await _until_closed(reader)
            except TimeoutError:
                return None
            finally:
                writer.close()
        return b""

    def _judge(self, answers: Sequence[bytes | None], *, whole: bool) -> None:
        said = self._said()
        for alarm in ALARMS:
            if alarm in said:
                raise Diagnostic(f"the console has: {said[-3000:].decode(errors='replace')}")
        if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
            raise Diagnostic("the proxy has ended")
        if self._upstream.astray:
            raise Diagnostic(f"a pool's credential went to {self._upstream.astray.pop()!r}")
        for answer in answers:
            if answer is None:
                raise Diagnostic(f"a connection hangs for over {PATIENCE:.0f} s")
            if KEY.encode() in answer:
                raise Diagnostic("an answer holds a pool's credential")
            check_readable(answer, whole=whole)

    def _said(self) -> bytes:
        with (self._home / "output.log").open("rb") as file:
            file.seek(self._read)
            said = file.read()
        self._read += len(said)
        return said

    def _reset(self) -> bytes:
        state = json.loads((self._home / "neurolink" / "proxy-state.json").read_text())
        token = state.get("adminToken") or ""
        return (
            "POST /admin/reset HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            f"x-neurolink-admin: {token}\r\ncontent-length: 0\r\n\r\n"
        ).encode()

    def _probe(self) -> None:
        request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        while not self._ended.wait(0.02):
            began = time.monotonic()
            self._wait(self._exchange([request]))
            took = time.monotonic() - began
            self.delays.append(took)
            self._worst = max(self._worst, took)

    def _wait(self, awaitable: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(60)

    # Memory

    @property
    def rss_mb(self) -> float:
        return self._process.memory_info().rss / inputs.MB

    def warmed_up(self) -> None:
        self._first_rss = self.rss_mb

    def finish(self) -> str:
        """Raises `Diagnostic` if memory has grown; says what there was."""
        self._ended.set()
        self._prober.join()
        time.sleep(7)  # free memory is handed back every five seconds
        after = self.rss_mb
        delays = sorted(self.delays)
        p99 = delays[int(len(delays) * 0.99)] * 1000 if delays else 0.0
        text = f"/health p99 {p99:.0f} ms of {len(delays)}; memory {self._first_rss:.0f} -> {after:.0f} MB"
        if self._first_rss and after - self._first_rss > GROWTH_MB:
            raise Diagnostic(f"memory has grown: {text}")
        return text


def _request(lane: int) -> bytes:
    body = inputs.BODIES[0]
    return (
        b"POST /v1/messages?lane=%d HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        b"user-agent: claude-cli/2.1.0\r\ncontent-length: %d\r\n\r\n%b" % (lane, len(body), body)
    )


def check_readable(answer: bytes, *, whole: bool) -> None:
    """It is HTTP/1.1 that a strict client can read; a good request (`whole`) has an answer.

    Raises:
        Finding: it is not.
    """
    if whole and not answer:
        raise Diagnostic("a good request got no answer at all")
    if answer.startswith(TLS_ALERT) or not answer:
        return
    if answer.startswith(b"HTTP/1.1 100") and answer.endswith(b"\r\n\r\n"):
        return  # the rest of the request did not come
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=inputs.MB * 64)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    status = 0
    try:
        client.receive_data(answer)
        client.receive_data(b"")
        while not isinstance(event := client.next_event(), _LAST):
            status = getattr(event, "status_code", status)
    except h11.RemoteProtocolError as error:
        # what broke off upstream may break off here, where nothing else can tell
        if not (status and "without sending complete" in str(error)):
            raise Diagnostic(f"unreadable answer ({error}): {answer[:300]!r}") from None


_LAST = (h11.ConnectionClosed, h11.EndOfMessage, type(h11.NEED_DATA), type(h11.PAUSED))


async def _until_silent(reader: asyncio.StreamReader, seconds: float) -> bytes:
    """What comes, until nothing more comes for so long."""
    got = b""
    with suppress(TimeoutError, OSError):
        while data := await asyncio.wait_for(reader.read(65536), seconds):
            got += data
    return got


async def _until_closed(reader: asyncio.StreamReader) -> bytes:
    """Raises `TimeoutError`."""
    got = b""
    async with asyncio.timeout(PATIENCE):
        with suppress(OSError):
            while data := await reader.read(65536):
                got += data
    return got


@contextmanager
def lab(home: Path) -> Iterator[Lab]:
    """Raises `bench.children.StartError` if the proxy does not come up."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    upstream = Upstream()
    asyncio.run_coroutine_threadsafe(upstream.serve(), loop).result(10)
    port = free_ports(1)[0]
    config = home / "proxy-config.json"
    config.write_text(json.dumps(_config(upstream.port)))
    command_line = [
        "-m",
        "neurolink_mitm.cli",
        "proxy",
        "start",
        "--port",
        str(port),
        "--config",
        str(config),
    ]
    settings = {
        "NEUROLINK_HOME": str(home / "neurolink"),
        "CLAUDE_CONFIG_DIR": str(home / "claude"),
        **{f"FUZZ_{name}": KEY + name for name in "ABC"},
    }
    with child(
        "the proxy", [sys.executable, *command_line], home, lambda: _accepts(port), settings
    ) as pid:
        yield Lab(pid, port, home, upstream, loop)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def _config(port: int) -> dict[str, object]:
    url = f"http://{HOST}:{port}/pool"
    accounts = [{"name": n, "apiKey": f"${{FUZZ_{n}}}", "baseUrl": url} for n in "ABC"]
    return {
        "version": 1,
        "defaultBaseUrl": url,
        "accounts": {"anthropic": accounts},
        "timeouts": TIMEOUTS,
        "logging": {"capture-bodies": "all", "max-size-mb": 50},
        "cloaking": CLOAKING,
    }


def targets(running: Lab) -> tuple[Target, ...]:
    stranger = inputs.split(inputs.mutated(inputs.HEADS, (*inputs.HEAD_WORDS, *inputs.JSON_WORDS)))
    script = inputs.split(inputs.mutated(inputs.ANSWERS, inputs.ANSWER_WORDS))
    return (
        Target(
            "strangers",
            st.lists(stranger, min_size=1, max_size=LANES),
            running.strangers,
            small=False,
        ),
        Target(
            "upstreams",
            st.lists(script, min_size=1, max_size=LANES),
            running.upstreams,
            small=False,
        ),
    )
