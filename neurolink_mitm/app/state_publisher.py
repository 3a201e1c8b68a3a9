"""Publishes a running proxy in its state file, by which commands find it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from neurolink_mitm.adapters.own_address import TlsState, tls_state
from neurolink_mitm.adapters.state_file import OURS, ProxyState, StateFile, process_start
from neurolink_mitm.config.apply import follow
from neurolink_mitm.ports import Runtime

logger = logging.getLogger("neurolink.app")


class StatePublisher:
    """The component that writes the state file, in a thread. Failures are logged."""

    _writing: asyncio.Future[None]

    def __init__(self, runtime: Runtime, path: Path, program: str = OURS) -> None:
        """`program` runs the proxy; `path` is that of `proxy-state.json`."""
        self.guard_pid: Callable[[], int | None] = lambda: None
        self._runtime = runtime
        self._file = StateFile(path)
        self._program = program
        self._lock = threading.Lock()
        self._ended = False

    async def start(self) -> None:
        follow(self._runtime, lambda _: self.publish())
        self._runtime.readiness.on_change.append(self.publish)
        await self._writing

    def publish(self) -> None:
        """Write the state as it is now, without waiting for the write."""
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._write)

    async def stop(self) -> None:
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        with self._lock:
            self._ended = True
            self._file.remove(self._runtime.pid)

    def _write(self) -> None:
        state = state_of(self._runtime)
        state.program = self._program
        state.guard_pid = self.guard_pid()
        try:
            with self._lock:
                if not self._ended and self._runtime.port:  # else it does not listen
                    self._file.claim(state)
        except Exception as e:
            logger.error(
                "%s can't be written (%s): `neurolink proxy status` and `stop` won't find this proxy",
                self._file.path,
                getattr(e, "strerror", None) or e,
            )


def tls_of(runtime: Runtime) -> TlsState | None:
    """Return what the state file has of the certificate."""
    return tls_state(runtime.certificate, runtime.host, runtime.config.listen.hosts)


def state_of(runtime: Runtime) -> ProxyState:
    """Return the state file's content."""
    return ProxyState(
        admin_token=runtime.admin_token.reveal() if runtime.admin_token else "",
        pid=runtime.pid,
        pid_started=process_start(runtime.pid) or runtime.started_at,
        port=runtime.port,
        host=runtime.host,
        strategy=runtime.pool.strategy,
        start_time=runtime.started_at,
        phase=runtime.readiness.phase,
        drain=runtime.config.timeouts.drain,
        tls=tls_of(runtime),
        fallback_chain=[
            {"provider": each.provider, "model": each.model}
            for each in runtime.config.routing.fallback_chain
        ],
    )
