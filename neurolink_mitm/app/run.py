"""`neurolink proxy start`: a master of our own, lean or with mitmweb's page."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from typing import Any

from mitmproxy.master import Master

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.system import free_port
from neurolink_mitm.addons.inspect import Inspect
from neurolink_mitm.app.lifecycle import Lifecycle, components
from neurolink_mitm.app.wiring import Prepared, Settings
from neurolink_mitm.claude_code.attach import ClaudeCode
from neurolink_mitm.config.apply import follow
from neurolink_mitm.dataplane import master as masters
from neurolink_mitm.dataplane.data_plane import OPTIONS, DataPlane
from neurolink_mitm.dataplane.modes import MODE
from neurolink_mitm.ports import Runtime

WEB_PORT = 8081
"""mitmweb's own port; if it is taken, the page gets a free one."""

WEB_COLUMNS = ["icon", "path", "method", "status", "comment", "size", "time"]
"""mitmweb's columns, with the comment, which names the account."""

Stack = Callable[[Runtime], Sequence[object]]


async def serve(
    prepared: Prepared,
    settings: Settings,
    stack: Stack,
    on_ready: Callable[[str], None],
    claude_code: ClaudeCode | None = None,
) -> None:
    """Run the proxy until it is stopped. `on_ready` is called once it serves, with mitmweb's address.

    `claude_code` is attached while the proxy runs.

    Raises:
        NotListeningError: the address could not be bound.
    """
    plane, starter = data_plane(prepared), Starter(prepared, on_ready)
    watching = watchers(prepared.runtime, plane) if settings.inspect else ()
    master = masters.make_master(
        in_browser=settings.inspect,
        addons=[starter, plane, *stack(prepared.runtime), *watching],
        settings={**_options(settings, prepared.home), **trusted(prepared)},
    )
    server = serving(prepared.runtime, master)
    server.take_signals()
    lifecycle = Lifecycle(components(prepared, server, claude_code=claude_code))
    starter.take(master, lifecycle)
    try:
        await master.run()
    finally:
        await lifecycle.stop()
    if starter.failure:
        raise starter.failure


class Starter:
    """The addon through which a master starts and stops the components."""

    def __init__(self, prepared: Prepared, on_ready: Callable[[str], None]) -> None:
        self.failure: masters.NotListeningError | None = None
        self._prepared = prepared
        self._on_ready = on_ready

    def take(self, master: Master, lifecycle: Lifecycle) -> None:
        """Take the components and their master, which is made with this addon."""
        self._master, self._lifecycle = master, lifecycle

    async def running(self) -> None:
        runtime = self._prepared.runtime
        try:
            runtime.port = masters.listening_port(self._master)
        except masters.NotListeningError as e:
            self.failure = e
            self._master.shutdown()
            return
        runtime.started_at = runtime.clock.now()
        follow(runtime, lambda _: self._master.options.update(**trusted(self._prepared)))
        await self._lifecycle.start()
        self._on_ready(masters.web_url(self._master))

    async def done(self) -> None:
        await self._lifecycle.stop()


def serving(runtime: Runtime, master: Master) -> masters.Serving:
    """Return the component of the server of `master`."""
    return masters.Serving(master, lambda: runtime.config.timeouts.drain, runtime.readiness)


def data_plane(prepared: Prepared) -> DataPlane:
    """Return a data plane that follows the configuration."""
    runtime = prepared.runtime

    def tls() -> ssl.SSLContext | None:
        return runtime.certificate.context if runtime.certificate else None

    plane = DataPlane(prepared.upstreams, runtime.readiness, tls)
    follow(runtime, plane.take)
    return plane


def watchers(runtime: Runtime, plane: DataPlane) -> tuple[object, ...]:
    """Return the addons for mitmweb; last of all, since they show what the others have done."""
    # needs addons of mitmproxy that a lean master has not
    from neurolink_mitm.dataplane.replay import Replay

    return Replay(runtime, plane), Inspect()


def _options(settings: Settings, home: Home) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        **OPTIONS,
        "mode": [MODE],
        "listen_host": settings.host,
        "listen_port": settings.port,
    }
    if settings.inspect:
        chosen |= {
            "web_open_browser": False,
            "web_columns": WEB_COLUMNS,
            "web_port": free_port("127.0.0.1", WEB_PORT),
            "confdir": str(home.mitmproxy),
        }
    return chosen


def trusted(prepared: Prepared) -> dict[str, str]:
    """Return the option with the file of trusted certificate authorities."""
    roots = prepared.sources.network.roots if prepared.sources else None
    return {"ssl_verify_upstream_trusted_ca": str(roots)} if roots else {}
