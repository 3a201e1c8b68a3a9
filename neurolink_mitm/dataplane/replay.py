"""Replay (mitmweb's button, `replay.client`, `-C`) through the pool, each time as a new flow.

mitmproxy would send the flow itself once more: with the stars that it shows in place of a credential, to one account's
upstream, and over the evidence. What never came through the pool is replayed as mitmproxy does it.
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
    """Takes mitmproxy's commands for it over, and leaves flows alone that are loaded from a file."""

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
        """Those of `-C`, which is read before a script is loaded."""
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
        """Send the requests of flows again: through the pool, as new flows, if they came that way."""
        others = [each for each in flows if not _is_pooled(each)]
        if others:
            type(self._stock).start_replay(self._stock, others)
        for each in flows:
            if isinstance(each, http.HTTPFlow) and _is_pooled(each):
                fault = self._stock.check(each) or _fault(each)
                if fault:
                    logger.warning(fault)
                else:
                    self._begin(self._anew(each))

    def count(self) -> int:
        """Count the flows that are being replayed or wait for it."""
        return len(self._tasks) + int(type(self._stock).count(self._stock))

    def stop(self) -> None:
        """Replay none of those that still wait."""
        for task in self._waiting:
            task.cancel()
        type(self._stock).stop_replay(self._stock)

    def _anew(self, old: http.HTTPFlow) -> http.HTTPFlow:
        client = old.client_conn.copy()
        client.state, client.timestamp_start = ConnectionState.OPEN, time.time()
        client.timestamp_end = None
        anew = http.HTTPFlow(client, Server(address=PLACEHOLDER))
        prefix = (summary_of(old) or {}).get("prefix") or ""
        anew.request = replay_request(old, self._fields(), prefix)
        anew.is_replay = "request"
        return anew

    def _fields(self) -> headers.Fields:
        """By which the gate knows a caller of this machine, and the owner."""
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
    """mitmproxy's client of a replay, in front of our layer."""

    def __init__(self, anew: http.HTTPFlow, plane: DataPlane) -> None:
        context = Context(anew.client_conn, ctx.options)
        context.server = anew.server_conn
        server.ConnectionHandler.__init__(self, context)
        self.layer = plane.new_layer(context)
        self.layer.connections[anew.client_conn] = clientplayback.MockServer(anew, context.fork())
        self.flow = anew
        self.done = asyncio.Event()

    async def replay(self) -> None:
        try:
            await super().replay()
        finally:
            for timer in self.wakeup_timer:
                timer.cancel()


def _is_pooled(each: flow.Flow) -> bool:
    return isinstance(each, http.HTTPFlow) and summary_of(each) is not None


def _fault(each: http.HTTPFlow) -> str | None:
    """Why it can't be replayed: the caller's own credential went with it, and is kept nowhere."""
    seen = summary_of(each) or {}
    forwarded = any(attempt["account"] is None for attempt in seen.get("attempts") or ())
    fields = each.request.headers.fields
    if forwarded and any(headers.is_masked(field) for field in fields):
        return "Can't replay what went with the caller's own credential: put one in place of the stars first."
    return None


def _leave_loaded_flows(master: Master) -> None:
    """mitmproxy points flows that it loads at the upstream of a reverse proxy, and ours is a placeholder."""

    async def load_flow(loaded: flow.Flow) -> None:
        for event in eventsequence.iterate(loaded):
            await master.addons.handle_lifecycle(event)

    master.load_flow = load_flow  # type: ignore[method-assign]
