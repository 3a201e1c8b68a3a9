"""Three proxies behind the balancer of `deploy/` are restarted one after another, under load: nobody notices."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from neurolink_mitm.sandbox import Account, Reply
from neurolink_mitm.sandbox.server import SandboxServer
from tests.deploy.balancer import Balancer, free_port
from tests.flows.harness import message
from tests.waiting import LIMIT, wait_until

CLIENTS = 6


class Replica:
    """A proxy as a process of its own, which may be started again on its port."""

    def __init__(self, home: Path, upstream: str) -> None:
        self.port, self._home = free_port(), home
        home.mkdir(mode=0o700)
        key = {"name": "a", "apiKey": "sk-ant-test-a", "baseUrl": upstream}
        document = {"accounts": {"anthropic": [key]}, "dashboard": {"enabled": False}}
        (home / "proxy-config.yaml").write_text(json.dumps(document))

    def start(self) -> None:
        names = ("PATH", "PYTHONPATH", "LANG")
        environ = {name: os.environ[name] for name in names if name in os.environ}
        home = str(self._home)
        with (self._home / "out").open("ab") as out:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "neurolink_mitm.cli", "proxy", "start",
                    "--port", str(self.port), "--no-claude-settings",
                ],
                env={**environ, "HOME": home, "NEUROLINK_HOME": home}, stdout=out, stderr=out,
            )  # fmt: skip

    @property
    def is_ready(self) -> bool:
        with suppress(OSError):
            url = f"http://127.0.0.1:{self.port}/ready"
            return bool(urllib.request.urlopen(url, timeout=LIMIT).status == 200)
        return False

    def restart(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT) == 0
        self.start()
        wait_until(lambda: self.is_ready, "it is ready again")

    def end(self) -> None:
        self.process.kill()
        self.process.wait(LIMIT)


class Load:
    """Clients that ask again and again, each on a connection that it keeps, until they are told to stop."""

    def __init__(self, port: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self._port, self._over = port, threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(LIMIT)

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LIMIT)
        body, asked = json.dumps(message()), 0
        while not self._over.is_set():
            asked += 1
            headers = {
                "content-type": "application/json",
                "x-claude-code-session-id": f"{number}-{asked}",
            }
            try:
                connection.request("POST", "/v1/messages", body, headers)
                response = connection.getresponse()
                whole = response.read().rstrip().endswith(b'{"type":"message_stop"}')
                outcome = "good" if whole else f"{response.status}, not whole"
            except (OSError, http.client.HTTPException) as e:
                outcome = type(e).__name__
                connection.close()
            self.outcomes[outcome] += 1
        connection.close()


@pytest.mark.real("haproxy")
def test_no_request_fails_and_no_stream_breaks(tmp_path: Path) -> None:
    with ExitStack() as stack:
        sandbox = stack.enter_context(SandboxServer([Account("a", "sk-ant-test-a")]))
        sandbox.script("a", *[Reply(event_delay=0.03, events=12)] * 5000)
        replicas = [Replica(tmp_path / f"replica-{n}", sandbox.url) for n in range(3)]
        for replica in replicas:
            replica.start()
            stack.callback(replica.end)
        wait_until(lambda: all(r.is_ready for r in replicas), "they are ready")
        addresses = [f"127.0.0.1:{replica.port}" for replica in replicas]
        balancer = stack.enter_context(Balancer(addresses, tmp_path / "haproxy.log"))
        with Load(balancer.port) as load:
            wait_until(lambda: load.outcomes["good"] > CLIENTS, "there is load")
            for replica in replicas:
                replica.restart()
        print(load.outcomes)
        assert set(load.outcomes) == {"good"}, load.outcomes
        served = [(tmp_path / f"replica-{n}" / "out").read_text().count("<- 200") for n in range(3)]
        assert min(served) > 0
