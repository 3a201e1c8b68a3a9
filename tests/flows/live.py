"""A user's machine: a proxy that runs, commands beside it, and the sandbox as all there is of the outside."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.adapters.token_store import TokenStore
from neurolink_mitm.core.auth.credentials import StoredAccount
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.sandbox import Account as Upstream
from neurolink_mitm.sandbox.server import SandboxServer
from tests.cli.logins import settings
from tests.cli.processes import NEUROLINK, Program, Shell
from tests.flows.harness import CLAUDE_CODE, LIMIT, message
from tests.waiting import wait_until

TOKEN, REFRESH, KEY = "sk-ant-oat-test-plan", "sk-ant-ort-test-plan", "sk-ant-test-key"
UPSTREAM = (
    Upstream("plan", TOKEN, "oauth", REFRESH, expires_in=86400),
    Upstream("key", KEY),
)
BROWSER = "import httpx, sys\nhttpx.get(sys.argv[1], follow_redirects=True)\n"
"""Its user agrees to everything at once; the login page sends the code back to loopback."""


@dataclass
class Live:
    """Starts with nobody logged in and no proxy; `serve` starts one."""

    shell: Shell
    upstream: SandboxServer
    url: str = ""
    program: Program | None = None

    @property
    def home(self) -> Home:
        return Home(self.shell.home / ".neurolink")

    @property
    def store(self) -> TokenStore:
        return TokenStore(self.home)

    def configure(self, more: str) -> None:
        """Add to the configuration."""
        path = self.home.config
        path.write_text(f"{path.read_text()}{more}\n")

    def serve(self, program: Sequence[str] = NEUROLINK) -> Program:
        self.program, self.url = self.shell.serve(program=program)
        return self.program

    def stop(self) -> None:
        assert self.program
        self.program.signal()
        assert self.program.exit_code() == 0

    def run(self, *arguments: str, code: int = 0) -> str:
        """What `neurolink …` answers."""
        ended = self.shell.run(*arguments)
        assert ended.exit_code() == code, f"neurolink {' '.join(arguments)}: {ended}"
        return ended.said

    def refused(self, *arguments: str) -> str:
        """What it complains of, where nobody is asked."""
        ended = self.shell.run(*arguments, "--non-interactive")
        assert ended.exit_code() == 1, f"neurolink {' '.join(arguments)}: {ended}"
        return ended.complained

    def login(self, *arguments: str) -> str:
        """In the browser, as the user of the sandbox's first login."""
        return self.run("auth", "login", "anthropic", "--non-interactive", *arguments)

    def ask(self, **fields: Any) -> httpx.Response:
        url = f"{self.url}/v1/messages"
        return httpx.post(url, json=message(**fields), headers=CLAUDE_CODE, timeout=LIMIT)

    def served_by(self) -> str:
        """Who answers a request."""
        answer = self.ask()
        assert answer.status_code == 200, answer.text
        return answer.headers["x-neurolink-account"]

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(f"{self.url}/status", timeout=LIMIT).json()
        return found

    def account(self, label: str = "plan") -> dict[str, Any] | None:
        """What the proxy says of it; None if it has no such account."""
        accounts = self.report()["stats"]["accounts"]
        return next((each for each in accounts if each["label"] == label), None)

    def reason(self, label: str = "plan") -> str | None:
        """Why it serves nothing."""
        found = self.account(label)
        return found["reason"] if found else "not there"

    def until(self, served_by: str) -> None:
        """What a command changed is picked up within a moment, not before the command ends."""
        wait_until(lambda: self.served_by() == served_by, f"{served_by} serves")

    def refreshes(self) -> int:
        return sum(each.path == "/v1/oauth/token" for each in self.upstream.requests)

    def keep(self, label: str = "plan", ends_in: float = 86400, **changes: Any) -> None:
        """Stored from the start: the upstream's `plan`, under this label."""
        secrets = {"access_token": Secret(TOKEN), "refresh_token": Secret(REFRESH)} | changes
        self.store.save(StoredAccount(label, expires_at=time.time() + ends_in, **secrets))

    def keep_key(self) -> None:
        self.store.save(StoredAccount("key", Secret(KEY)))


@contextmanager
def live(place: Path, *accounts: Upstream, **variables: str) -> Iterator[Live]:
    with SandboxServer(accounts or UPSTREAM) as upstream, Shell(place) as shell:
        opener = place / "browser.py"
        opener.write_text(BROWSER)
        shell.variables |= {"BROWSER": f"{sys.executable} {opener} %s &", **variables}
        redirected = settings(upstream.url, redirect_uri="http://localhost/callback")
        shell.write("proxy-config.yaml", redirected)
        yield Live(shell, upstream)


class Gate(ThreadingHTTPServer):
    """An upstream that begins an answer, and ends it once it is opened. `with` starts and stops it."""

    daemon_threads = True

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        middle = len(answer) // 2
        self.halves = answer[:middle], answer[middle:]
        self.opened = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *exc: object) -> None:
        self.opened.set()
        self.shutdown()
        super().__exit__(*exc)


class _Answering(BaseHTTPRequestHandler):
    server: Gate

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        first, second = self.server.halves
        self.wfile.write(first)
        self.server.opened.wait(60)
        self.wfile.write(second)

    def log_message(self, format: str, *args: object) -> None: ...


class Streaming(threading.Thread):
    """A client that reads one answer; `received` is whole once it was joined."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.received = b""
        self.begun = threading.Event()
        self.start()
        assert self.begun.wait(LIMIT), "no answer has begun"

    def run(self) -> None:
        url, asked = f"{self._url}/v1/messages", message()
        with httpx.stream("POST", url, json=asked, headers=CLAUDE_CODE, timeout=60) as answer:
            for chunk in answer.iter_raw():
                self.received += chunk
                self.begun.set()
