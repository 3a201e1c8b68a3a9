"""The sandbox as a server: in a thread for tests, in the foreground for the command line."""

import asyncio
import functools
import socket
import threading
from collections.abc import Callable, Sequence

from neurolink_mitm.sandbox.accounts import Account, Reply, Script
from neurolink_mitm.sandbox.recorder import Requests
from neurolink_mitm.sandbox.state import TOKEN_ENDPOINT, Sandbox
from neurolink_mitm.sandbox.wire import Server, Tls, listen, make_server, url_of

Announce = Callable[[str], None]

_print = functools.partial(print, flush=True)


class SandboxServer:
    """
    A sandbox in a thread of its own, asked over the wire. `with` starts and stops it. Stopped, it
    refuses connections; started again, it is on the same port with the same accounts, scripts and
    tokens. Its methods may be called from any thread, those that wait not on an event loop's time.
    """

    def __init__(
        self,
        accounts: Sequence[Account] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        keep: int = 200,
        bodies: bool = True,
        tls: Tls | None = None,
    ) -> None:
        """
        `accounts` default to `default_accounts()`; of the last `keep` requests a record is kept,
        without `bodies` only of their heads.
        """
        self.state = Sandbox(accounts, keep=keep, bodies=bodies)
        self.host, self.port, self.url = host, port, ""
        self._tls = tls
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "SandboxServer":
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def requests(self) -> Requests:
        """A copy, oldest first."""
        return self.state.recorder.requests

    def wait_for(self, predicate: Callable[[Requests], bool], timeout: float = 5) -> Requests:
        """Until the requests are so. Raises TimeoutError, saying what was received."""
        return self.state.recorder.wait_for(predicate, timeout)

    def script(self, account: str, *replies: Reply, loop: bool = False) -> None:
        """How the account answers from now on. Raises KeyError if there is no such account."""
        self.state.script(account, Script(replies, loop))

    def script_tokens(self, *replies: Reply, loop: bool = False) -> None:
        """How the token endpoint answers; `Reply()` stands for what it would say by itself."""
        self.state.script(TOKEN_ENDPOINT, Script(replies, loop))

    def expire(self, account: str) -> None:
        """Its access tokens are refused from now on; its refresh token stays good."""
        self.state.tokens.expire(account)

    def revoke(self, account: str) -> None:
        """Its refresh token is refused too: only a new login helps."""
        self.state.tokens.revoke(account)

    def start(self, timeout: float = 10) -> None:
        """Raises OSError if the port is taken, TimeoutError if it takes too long."""
        if self._thread is not None:
            raise RuntimeError(f"the sandbox runs already, at {self.url}")
        ready = threading.Event()
        self._server = make_server(self.state, self._tls, ready.set)
        listener = listen(self.host, self.port)
        self.port = listener.getsockname()[1]
        self.url = url_of(listener, self._tls)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="neurolink-sandbox", daemon=True
        )
        self._thread.start()
        if not ready.wait(timeout):
            raise TimeoutError(f"the sandbox was not ready within {timeout} s")

    def stop(self, timeout: float = 10) -> None:
        """Open streams are broken off. Does nothing if it doesn't run. Raises TimeoutError."""
        if self._server is None or self._thread is None:
            return
        self._server.exit_soon()
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"the sandbox did not stop within {timeout} s")
        self._server = self._thread = None


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    sandbox: Sandbox | None = None,
    *,
    announce: Announce = _print,
    tls: Tls | None = None,
) -> None:
    """
    Serves until SIGINT or SIGTERM, after which it returns. `announce` is told the URL once it is
    ready. Raises OSError if the port is taken.
    """
    server, listener = _foreground(host, port, sandbox, announce, tls)
    server.run([listener])


async def serve_async(
    host: str = "127.0.0.1",
    port: int = 0,
    sandbox: Sandbox | None = None,
    *,
    announce: Announce = _print,
    tls: Tls | None = None,
) -> None:
    """The same on a running event loop, whose signals it takes until it ends or is cancelled."""
    server, listener = _foreground(host, port, sandbox, announce, tls)
    try:
        await server.serve([listener])
    except asyncio.CancelledError:
        await server.shutdown([listener])
        raise


def _foreground(
    host: str, port: int, sandbox: Sandbox | None, announce: Announce, tls: Tls | None
) -> tuple[Server, socket.socket]:
    server = make_server(sandbox or Sandbox(), tls, lambda: announce(url_of(listener, tls)))
    listener = listen(host, port)
    return server, listener
