"""The components that start and stop with the proxy: one list, however it is run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field

from neurolink_mitm.adapters.background import run_again
from neurolink_mitm.adapters.state_file import OURS
from neurolink_mitm.app.background import background_tasks
from neurolink_mitm.app.state_publisher import StatePublisher, state_of
from neurolink_mitm.app.wiring import Prepared
from neurolink_mitm.claude_code.attach import ClaudeCode
from neurolink_mitm.config.apply import follow
from neurolink_mitm.ports import Component, Runtime

logger = logging.getLogger("neurolink.app")


@dataclass
class Lifecycle:
    """Components in the order in which they are started; they are stopped in the reverse order."""

    components: Sequence[Component]
    _stopping: asyncio.Task[None] | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start all. One that fails is logged, and the others go on."""
        for each in self.components:
            await _safely(each, "start", each.start())

    async def stop(self) -> None:
        """Stop all, once, however often this is called. One that fails is logged, and the others stop all the same."""
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        for each in reversed(self.components):
            await _safely(each, "stop", each.stop())


async def _safely(component: Component, what: str, done: Coroutine[object, object, None]) -> None:
    try:
        await done
    except Exception:
        logger.exception("%s can't %s", type(component).__name__, what)


def components(
    prepared: Prepared,
    server: Component,
    *,
    program: str = OURS,
    claude_code: ClaudeCode | None = None,
) -> list[Component]:
    """Return the components of a proxy: first those that requests need, last the `server`.

    So the `server` stops first: it waits for requests in flight, which need the others. `program` runs the proxy.
    """
    publisher = StatePublisher(prepared.runtime, prepared.home.state, program)
    listed: list[Component] = [*prepared.components, background_tasks(prepared)]
    if claude_code:
        listed.append(Attached(claude_code, prepared.runtime, publisher))
    return [*listed, publisher, server]


class Attached:
    """The component that attaches Claude Code to the proxy while it serves."""

    def __init__(
        self, claude_code: ClaudeCode, runtime: Runtime, publisher: StatePublisher
    ) -> None:
        self._claude_code = claude_code
        self._runtime = runtime
        self._publisher = publisher
        self._keeper: asyncio.Task[None] | None = None
        self._attaching: asyncio.Task[None] | None = None
        self._attached: tuple[str, dict[str, str]] = "", {}
        self._stopping = False
        publisher.guard_pid = lambda: claude_code.guard_pid

    async def start(self) -> None:
        await self._attach()
        follow(self._runtime, lambda _: self._follow())
        self._keeper = asyncio.create_task(run_again(self._keep_guarded, "the guard's keeper"))

    async def _attach(self) -> None:
        state = state_of(self._runtime)
        self._attached = state.caller_url, state.variables
        await asyncio.to_thread(self._claude_code.attach, self._runtime.pid, *self._attached)

    def _follow(self) -> None:
        """Point Claude Code at the address anew, where TLS has been switched on or off, or has another name."""
        state = state_of(self._runtime)
        if (state.caller_url, state.variables) != self._attached and not self._stopping:
            self._attaching = asyncio.create_task(self._attach())

    async def _keep_guarded(self) -> None:
        await self._claude_code.keep_guarded(self._runtime.pid, self._publisher.publish)

    async def stop(self) -> None:
        self._stopping = True
        if self._attaching:
            await asyncio.wait((self._attaching,))
        if self._keeper:
            self._keeper.cancel()
        await asyncio.to_thread(self._claude_code.detach, self._runtime.pid)
