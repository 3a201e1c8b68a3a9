"""Looks at the pool each second, and queues the events that somebody wants to know of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from neurolink_mitm.adapters.background import run_again
from neurolink_mitm.adapters.files import locked, read_whole, set_aside, write_atomic
from neurolink_mitm.core.cost.budget import is_paid
from neurolink_mitm.core.exchange import Exchange, Kind
from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.core.settings.quiet import QuietHours
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.notices.channels import Channel
from neurolink_mitm.notices.conditions import PAID, Condition, situation, subscriptions_out
from neurolink_mitm.notices.delivery import Delivery
from neurolink_mitm.notices.event import event_of
from neurolink_mitm.notices.watch import Mark, Watch
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.notices")

EVERY = 1.0
"""Seconds between two looks at the pool."""
MAX_MODELS = 20
"""Models whose paid requests are remembered: clients choose the names."""


class _File(msgspec.Struct):
    version: int = 1
    told: dict[str, Mark] = {}


class Notifier:
    """The component of notices. Without a channel it does nothing but wait."""

    def __init__(
        self,
        runtime: Runtime,
        path: Path | None,
        channels: Callable[[Notify], tuple[Channel, ...]],
        every: float = EVERY,
    ) -> None:
        """`path` keeps what was told across restarts; `channels` makes the channels of a configuration."""
        self.delivery = Delivery()
        self.watch = Watch()
        self._runtime = runtime
        self._path = path
        self._channels = channels
        self._every = every
        self._notify = Notify()
        self._quiet: QuietHours | None = None
        self._paid: dict[str | None, str] = {}
        """Who served Claude Code for money since the subscriptions are out, by model."""
        self._written = 0
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def configure(self, config: Config) -> None:
        """Take over the channels, the events and the quiet hours."""
        self._notify = notify = config.notify
        self._quiet = QuietHours.parse(notify.quiet) if notify.quiet else None
        self.delivery.configure(self._channels(notify))

    async def start(self) -> None:
        marks = await asyncio.to_thread(self._read)
        self.watch.restore(marks, self._runtime.clock.now())
        if PAID in self.watch.marks:  # the period goes on while the subscriptions are out
            self._paid = {None: ""}
        self._task = asyncio.create_task(run_again(self._run, "the watch for notices"))

    async def stop(self) -> None:
        """Deliver what waits, within a few seconds."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self.look()
        await asyncio.to_thread(self.delivery.close)
        await self._keep()

    def served(self, exchange: Exchange) -> None:
        """Note who has served a request. Does not block."""
        account = exchange.account
        paid = account is not None and is_paid(account)
        if not self._notify.channels or not paid or not exchange.served or account is None:
            return
        requirements = exchange.requirements
        if exchange.kind is not Kind.MESSAGES or not requirements.claude_code:
            return
        by_mapping = exchange.route is not None and not exchange.route.pool
        now, model = self._runtime.clock.now(), requirements.model
        out = not by_mapping and subscriptions_out(self._runtime.pool, model, now)
        if out and len(self._paid) < MAX_MODELS:
            self._paid[model] = account.label

    def report(self) -> Mapping[str, object] | None:
        """Return the part of `/status`; None where there is no channel."""
        if not self._notify.channels:
            return None
        return {
            "channels": list(self._notify.channels),
            "sent": self.delivery.sent,
            "failed": self.delivery.failed,
            "lastError": self.delivery.last_error,
        }

    def look(self) -> None:
        """Queue the events of what has changed."""
        if not self._notify.channels:
            return
        pool, now = self._runtime.pool, self._runtime.clock.now()
        self._paid = {m: who for m, who in self._paid.items() if subscriptions_out(pool, m, now)}
        paid = next(iter(self._paid.values()), None)
        quiet = self._quiet is not None and self._quiet.covers(datetime.fromtimestamp(now))
        holds = situation(pool, now, paid, self._runtime.clients)
        for condition in self.watch.update(holds, now, quiet=quiet):
            self._tell(condition, now)

    def _tell(self, condition: Condition, now: float) -> None:
        cluster = self._runtime.cluster
        if cluster and condition.kind != PAID and not cluster.tells():
            return  # all replicas see it, and one tells; who serves for money, each knows of itself
        if condition.kind in self._notify.on:
            event_id = f"ntc_{self._runtime.random_source.hex(20)}"
            self.delivery.put(event_of(condition, event_id, now))

    async def _run(self) -> None:
        while True:
            self.look()
            await self._keep()
            await asyncio.sleep(self._every)

    async def _keep(self) -> None:
        """Write what was told, if it has changed; a write that fails is tried again."""
        if self._path and self._written != self.watch.changes:
            changes, marks = self.watch.changes, dict(self.watch.marks)
            if await asyncio.to_thread(self._write, marks):
                self._written = changes

    def _read(self) -> Mapping[str, Mark]:
        try:
            return (
                msgspec.json.decode(read_whole(self._path), type=_File).told if self._path else {}
            )
        except FileNotFoundError:
            return {}
        except OSError as e:
            logger.error("%s can't be read: %s", self._path, e.strerror)
        except (ValueError, *UNREADABLE):
            assert self._path
            set_aside(self._path)
        return {}

    def _write(self, marks: dict[str, Mark]) -> bool:
        assert self._path
        try:
            with locked(self._path):
                write_atomic(self._path, msgspec.json.encode(_File(told=marks)) + b"\n")
        except Exception as e:  # the watch goes on, whatever it is
            if not self._failing:
                logger.error("%s can't be written: a notice may come again after a restart: %s",
                             self._path.name, e)  # fmt: skip
            self._failing = True
            return False
        self._failing = False
        return True
