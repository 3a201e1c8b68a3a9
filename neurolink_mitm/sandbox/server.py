"""The sandbox as a server: in a thread for tests, in the foreground for commands."""

import functools
import threading
from collections.abc import Callable, Sequence

from neurolink_mitm.sandbox.accounts import Account, Reply, Script
from neurolink_mitm.sandbox.recorder import Requests
from neurolink_mitm.sandbox.state import TOKEN_ENDPOINT, Sandbox
from neurolink_mitm.sandbox.wire import Server, Tls, listen, make_server, url_of

Announce = Callable[[str], None]

_print = functools.partial(print, flush=True)


class SandboxServer:
    """A sandbox in a thread of its own. `with` starts and stops it.

    After a stop it refuses connections; the next start uses the same port, accounts, scripts and tokens. Any thread
    may call the methods. Those that wait block: don't call them on an event loop.
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
        """`accounts` default to `default_accounts()`.

        The last `keep` requests are recorded; without `bodies`, their heads only.
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
        return self.state.recorder.requests

    def wait_for(self, predicate: Callable[[Requests], bool], timeout: float = 5) -> Requests:
        """Wait until `predicate` holds for the requests. Raises TimeoutError, which lists them."""
        return self.state.recorder.wait_for(predicate, timeout)

    def script(self, account: str, *replies: Reply, loop: bool = False) -> None:
        """Set the script of an account. Raises KeyError if there is no such account."""
        self.state.script(account, Script(replies, loop))

    def script_tokens(self, *replies: Reply, loop: bool = False) -> None:
        """Set the script of the token endpoint; `Reply()` is its usual response."""
        self.state.script(TOKEN_ENDPOINT, Script(replies, loop))

    def expire(self, account: str) -> None:
        """Expire the account's access tokens; its refresh token stays valid."""
        self.state.tokens.expire(account)

    def revoke(self, account: str) -> None:
        """Revoke all tokens of the account: only a new login helps."""
        self.state.tokens.revoke(account)

    def start(self, timeout: float = 10) -> None:
        """Start the server. Raises OSError if the port is taken, TimeoutError if it takes too long."""
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
        """Stop the server, if it runs; open streams are broken off. Raises TimeoutError."""
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
    """Serve until SIGINT or SIGTERM. Raises OSError if the port is taken.

    `announce` is called with the URL once the server is ready.
    """
    server = make_server(sandbox or Sandbox(), tls, lambda: announce(url_of(listener, tls)))
    listener = listen(host, port)
    server.run([listener])
