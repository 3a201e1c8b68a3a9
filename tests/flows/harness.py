"""The real proxy on loopback, in a thread of its own, and ways to ask it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from neurolink_mitm.adapters.journal import encode
from neurolink_mitm.adapters.system import SystemClock, SystemRandomSource
from neurolink_mitm.core.auth.credentials import account_type
from neurolink_mitm.core.cost.budget import Budget
from neurolink_mitm.core.logs.rows import AttemptRow, RequestRow
from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.core.pool.pool import Pool
from neurolink_mitm.core.providers import destinations
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.values import Config, Timeouts
from neurolink_mitm.core.shaping.pipeline import Named, Pipeline
from neurolink_mitm.dataplane import master as masters
from neurolink_mitm.dataplane.data_plane import OPTIONS, DataPlane
from neurolink_mitm.dataplane.modes import MODE
from neurolink_mitm.dataplane.upstreams.shared import Upstreams
from neurolink_mitm.dataplane.upstreams.tls import UpstreamTrust
from neurolink_mitm.ports import Runtime, Translator
from neurolink_mitm.stack import stack
from neurolink_mitm.telemetry.registry import MetricRegistry
from tests.schemas import faults

LIMIT = 30.0
"""Seconds that any wait may take."""
CLAUDE_CODE = {"user-agent": "claude-cli/2.1.0 (external, cli)"}
MODEL = "claude-sonnet-4-6"


class Rows:
    """A journal that keeps its rows, and lets a test wait for them; each is held against its schema."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.requests: list[RequestRow] = []
        self.attempts: list[AttemptRow] = []
        self._changed = threading.Condition()

    def request(self, row: RequestRow) -> None:
        with self._changed:
            self.requests.append(row)
            self.faults += faults("proxy", json.loads(encode(row)))
            self._changed.notify_all()

    def attempt(self, row: AttemptRow) -> None:
        with self._changed:
            self.attempts.append(row)
            self.faults += faults("proxy-attempts", json.loads(encode(row)))
            self._changed.notify_all()

    def report(self) -> dict[str, object]:
        return {"dropped": 0, "bodiesDropped": 0, "lastError": None}

    def wait(self, count: int = 1) -> list[RequestRow]:
        """The rows of requests, once there are so many."""
        with self._changed:
            done = self._changed.wait_for(lambda: len(self.requests) >= count, LIMIT)
            assert done, f"expected {count} finished requests, got {self.requests}"
            return list(self.requests)


class Forgetful:
    """A memory that keeps nothing."""

    def cooldowns(self, by_account: object) -> None: ...

    def quotas(self, by_account: object) -> None: ...


class ScriptedRandomSource(SystemRandomSource):
    """Jitter is none, so that a pause is as short as it gets."""

    def jitter(self) -> float:
        return 0.0


@dataclass
class Proxy:
    """Starts and stops with `with`."""

    accounts: Sequence[Account]
    config: Config = field(default_factory=Config)
    strategy: str = "fill-first"
    clock: Any = field(default_factory=SystemClock)
    passthrough: bool = False
    host: str = "127.0.0.1"
    translator: Translator | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    plugins: Sequence[Named] = ()
    trusted: Path | None = None
    """A certificate that upstream may show."""
    change: Callable[[Runtime], None] = lambda runtime: None
    addons: Callable[[Runtime], list[object]] = stack
    drain: float = 0.0
    """Seconds that streams get to finish at the end."""

    def __enter__(self) -> Self:
        self.rows = Rows()
        self.runtime = Runtime(
            config=self.config,
            pool=self._pool(),
            clock=self.clock,
            random_source=ScriptedRandomSource(),
            journal=self.rows,
            state_store=Forgetful(),
            metrics=MetricRegistry(),
            host=self.host,
            passthrough=self.passthrough,
            started_at=self.clock.now(),
            translator=self.translator,
            environ=self.environ,
        )
        self.runtime.shaping = Pipeline.of(
            self.config.cloaking, b"a key of the tests", self.plugins
        )
        self.change(self.runtime)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)
        self._thread.start()
        assert self._ready.wait(LIMIT), "the proxy did not start"
        return self

    def __exit__(self, *exc: object) -> None:
        self.master.shutdown()
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), "the proxy did not stop"
        assert self.rows.faults == [], "rows are not as their schema says"
        assert list(self.runtime.in_flight) == [], "requests that have ended are reported"

    @property
    def url(self) -> str:
        scheme = "https" if self.runtime.certificate else "http"
        return f"{scheme}://127.0.0.1:{self.runtime.port}"

    @property
    def busy(self) -> int:
        """Requests that are being answered."""
        return self.plane.busy

    def _tls(self) -> ssl.SSLContext | None:
        certificate = self.runtime.certificate
        return certificate.context if certificate else None

    def _pool(self) -> Pool:
        routing = self.config.routing
        others = destinations.entries(self.config, self.environ)
        budget = Budget(routing.pay_per_use, routing.daily_cap_usd)
        return Pool(self.accounts, self.strategy, fallbacks=others, budget=budget)

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.runtime.upstreams = upstreams = Upstreams(UpstreamTrust())
        self.plane = DataPlane(upstreams, self.runtime.readiness, self._tls)
        self.plane.take(self.config)
        trust = {"ssl_verify_upstream_trusted_ca": str(self.trusted)} if self.trusted else {}
        self.master = masters.make_master(
            in_browser=False,
            addons=[self.plane, *self.addons(self.runtime), _Ready(self)],
            settings={
                **OPTIONS,
                "mode": [MODE],
                "listen_host": self.host,
                "listen_port": 0,
                **trust,
            },
        )
        await self.master.run()
        await masters.Serving(self.master, lambda: self.drain, self.runtime.readiness).stop()

    def ready(self) -> None:
        self.runtime.port = masters.listening_port(self.master)
        self._ready.set()


class _Ready:
    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def running(self) -> None:
        self._proxy.runtime.readiness.serve()
        self._proxy.ready()


def account(label: str, url: str, **fields: Any) -> Account:
    """An account whose key is `sk-ant-test-LABEL`, or the token given as `token`."""
    token = Secret(fields.pop("token", f"sk-ant-test-{label}"))
    return Account(
        key=f"anthropic:{label}",
        label=label,
        type=account_type(token),
        secret=token,
        base_url=url,
        **fields,
    )


def timeouts(**seconds: float) -> Config:
    """A configuration with these limits, in seconds."""
    return Config(timeouts=Timeouts(**seconds))


def message(**fields: Any) -> dict[str, Any]:
    """A streamed request for a message."""
    asked = [{"role": "user", "content": "say hi"}]
    return {"model": MODEL, "max_tokens": 64, "stream": True, "messages": asked} | fields


def raw_request(
    body: bytes | None = None, path: str = "/v1/messages", method: str = "POST", **headers: str
) -> bytes:
    """A request as it goes over the wire."""
    body = json.dumps(message()).encode() if body is None else body
    fields = {"host": "127.0.0.1", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def connect(proxy: Proxy) -> socket.socket:
    """A connection to the proxy, to be spoken to byte by byte."""
    return socket.create_connection(("127.0.0.1", proxy.runtime.port), timeout=LIMIT)


def read_to_end(connection: socket.socket) -> bytes:
    """All that comes until the proxy closes."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def read_answer(connection: socket.socket) -> bytes:
    """One answer on a connection that stays open: to the end of its chunks or of its length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection, received)
    head, _, body = received.partition(b"\r\n\r\n")
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        while not body.endswith(b"0\r\n\r\n"):
            body += _more(connection, body)
    else:
        length = int(lowered.split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += _more(connection, body)
    return head + b"\r\n\r\n" + body


def _more(connection: socket.socket, so_far: bytes) -> bytes:
    data = connection.recv(65536)
    assert data, f"closed in the middle of an answer, after {so_far[-200:]!r}"
    return data


def events(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a streamed answer; fails on a half one."""
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == "", f"the stream ends inside an event: {body[-200:]!r}"
    lines = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(line["event"], json.loads(line["data"])) for line in lines]
