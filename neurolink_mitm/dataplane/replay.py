"""Replays flows of the pool (mitmweb's button, `replay.client`, `-C`) through the pool, as new flows.

mitmproxy would send the same flow again: with masked credentials, to one account's upstream, and replace the recorded
response. Flows of other modes are replayed by mitmproxy.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from mitmproxy import ctx, eventsequence, flow, http
from mitmproxy.addonmanager import Loader
from mitmproxy.addons import clientplayback
from mitmproxy.connection import ConnectionState, Server
from mitmproxy.master import Master
from mitmproxy.proxy import server
from mitmproxy.proxy.context import Context

from neurolink_mitm.core.request import headers
from neurolink_mitm.dataplane.data_plane import DataPlane
from neurolink_mitm.dataplane.hooks import summary_of
from neurolink_mitm.dataplane.original_request import replay_request
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.replay")

PLACEHOLDER = ("upstream.invalid", 80)


class Replay:
    """The addon in place of mitmproxy's replay commands. It also keeps loaded flows as they are."""

    def __init__(self, runtime: Runtime, plane: DataPlane) -> None:
        self.runtime = runtime
        self._plane = plane
        self._running = asyncio.Event()
        self._one_by_one = asyncio.Lock()
        self._waiting: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stock: Any = None

    def load(self, loader: Loader) -> None:
        _leave_loaded_flows(ctx.master)
        self._stock = ctx.master.addons.get("clientplayback")
        if self._stock is None:
            return
        self._stock.start_replay = self.start  # what reads files of flows calls it
        add = ctx.master.commands.add
        add("replay.client", self.start)
        add("replay.client.count", self.count)
        add("replay.client.stop", self.stop)
        self.start(self._queued())

    def _queued(self) -> list[http.HTTPFlow]:
        """Return the flows of `-C`, which is read before a script is loaded."""
        queue: asyncio.Queue[http.HTTPFlow] = self._stock.queue
        flows = [queue.get_nowait() for _ in range(queue.qsize())]
        for each in flows:
            queue.task_done()
            each.revert()
        return flows

    def running(self) -> None:
        self._running.set()

    def done(self) -> None:
        for task in self._tasks:
            task.cancel()

    def start(self, flows: Sequence[flow.Flow]) -> None:
        """Replay flows: those of the pool through the pool, the rest by mitmproxy."""
        foreign = [each for each in flows if not _is_pooled(each)]
        if foreign:
            type(self._stock).start_replay(self._stock, foreign)
        for each in flows:
            if isinstance(each, http.HTTPFlow) and _is_pooled(each):
                fault = self._stock.check(each) or _fault(each)
                if fault:
                    logger.warning(fault)
                else:
                    self._begin(self._new_flow(each))

    def count(self) -> int:
        """Return the number of flows that are being replayed or wait for it."""
        return len(self._tasks) + int(type(self._stock).count(self._stock))

    def stop(self) -> None:
        """Cancel the replays that still wait."""
        for task in self._waiting:
            task.cancel()
        type(self._stock).stop_replay(self._stock)

    def _new_flow(self, old: http.HTTPFlow) -> http.HTTPFlow:
        client = old.client_conn.copy()
        client.state, client.timestamp_start = ConnectionState.OPEN, time.time()
        client.timestamp_end = None
        anew = http.HTTPFlow(client, Server(address=PLACEHOLDER))
        prefix = (summary_of(old) or {}).get("prefix") or ""
        anew.request = replay_request(old, self._fields(), prefix)
        anew.is_replay = "request"
        return anew

    def _fields(self) -> headers.Fields:
        """Return the fields with which the gate admits a request of the proxy's owner."""
        host = (b"host", b"localhost:%d" % self.runtime.port)
        token = self.runtime.admin_token
        if token and self.runtime.client_keys:
            return (host, (b"x-api-key", token.reveal().encode()))
        return (host,)

    def _begin(self, anew: http.HTTPFlow) -> None:
        task = asyncio.ensure_future(self._send(anew))
        self._tasks.add(task)
        self._waiting.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._waiting.discard)

    async def _send(self, anew: http.HTTPFlow) -> None:
        await self._running.wait()
        if ctx.options.client_replay_concurrency == 1:
            async with self._one_by_one:
                await self._send_now(anew)
        else:
            await self._send_now(anew)

    async def _send_now(self, anew: http.HTTPFlow) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.discard(task)
        try:
            await _Handler(anew, self._plane).replay()
        except Exception:
            logger.exception("replay has failed")


class _Handler(clientplayback.ReplayHandler):
    """mitmproxy's client of a replay, with our layer."""

    def __init__(self, anew: http.HTTPFlow, plane: DataPlane) -> None:
        context = Context(anew.client_conn, ctx.options)
        context.server = anew.server_conn
        server.ConnectionHandler.__init__(self, context)
        self.layer = self._failover = plane.new_layer(context, self)
        self.layer.connections[anew.client_conn] = clientplayback.MockServer(anew, context.fork())
        self.flow = anew
        self.done = asyncio.Event()

    async def replay(self) -> None:
        try:
            await super().replay()
        finally:
            self._failover.release()
            for timer in self.wakeup_timer:
                timer.cancel()


def _is_pooled(each: flow.Flow) -> bool:
    return isinstance(each, http.HTTPFlow) and summary_of(each) is not None


def _fault(each: http.HTTPFlow) -> str | None:
    """Return why a flow can't be replayed: it was sent with the caller's own credential, which is masked."""
    attempts = (summary_of(each) or {}).get("attempts") or ()
    forwarded = any(attempt["account"] is None for attempt in attempts)
    fields = each.request.headers.fields
    if forwarded and any(headers.is_masked(field) for field in fields):
        return "Can't replay what went with the caller's own credential: put one in place of the stars first."
    return None


def _leave_loaded_flows(master: Master) -> None:
    """Keep the host of loaded flows: mitmproxy sets it to the reverse proxy's upstream, here a placeholder."""

    async def load_flow(loaded: flow.Flow) -> None:
        for event in eventsequence.iterate(loaded):
            await master.addons.handle_lifecycle(event)

    master.load_flow = load_flow  # type: ignore[method-assign]
