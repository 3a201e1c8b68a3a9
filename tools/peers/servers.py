"""Runs the peers, each as a process of its own with an empty home."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.anthropic_stream import validate
from tests.translator.matrix.targets import Target
from tests.translator.running import KEY
from tools.peers import configs, install

Json = dict[str, Any]
Targets = Mapping[str, tuple[Target, str]]

LIMIT = 120.0
"""Seconds until a peer is ready."""
PATIENCE = 10.0
"""Seconds for an answer: some wait for ever for what was cut off."""


class Peer:
    """A peer that runs. `models`: what each target is called in a request."""

    def __init__(self, url: str, models: Mapping[str, str]) -> None:
        self._url = url
        self.models = models

    def behind(self, name: str) -> Behind:
        """Return what asks one target."""
        return Behind(self._url, self.models[name])


class Behind:
    """Asks one target, as `tests.translator.running.Running` does."""

    def __init__(self, url: str, model: str) -> None:
        self._url = url
        self._model = model

    def ask(self, provider: str, model: str, body: Json) -> httpx.Response:
        """Return the answer; a stream that comes is judged."""
        headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        with httpx.Client(timeout=PATIENCE, trust_env=False) as client:
            answer = client.post(
                f"{self._url}/v1/messages", json={**body, "model": self._model}, headers=headers
            )
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            validate(answer.content, allow_error=True)
        return answer


@contextmanager
def litellm(targets: Targets, home: Path) -> Iterator[Peer]:
    """Run LiteLLM's proxy."""
    program, port = install.litellm(), _free_port()
    config = home / "litellm.yaml"
    config.write_text(json.dumps(configs.litellm_config(targets)))  # JSON is YAML
    own = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION"}
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, home, own, f"http://127.0.0.1:{port}", "/health/liveliness") as url:
        yield Peer(url, {name: name for name in targets})


@contextmanager
def router(targets: Targets, home: Path) -> Iterator[Peer]:
    """Run claude-code-router."""
    command, port = install.router(), _free_port()
    folder = home / ".claude-code-router"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(configs.router_config(targets, port)))
    models = {
        name: f"{configs.routed(name)},{target.model}"
        for name, (target, _) in targets.items()
        if configs.has_way(target)
    }
    with _running([*command, "start"], home, {}, f"http://127.0.0.1:{port}", "/health") as url:
        yield Peer(url, models)


PEERS: Mapping[str, Callable[[Targets, Path], Any]] = {"litellm": litellm, "router": router}


@contextmanager
def _running(
    command: list[str], home: Path, own: Mapping[str, str], url: str, ready: str
) -> Iterator[str]:
    log = home / "peer.log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **own}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=home,
            start_new_session=True,
        )  # fmt: skip
    try:
        _wait(process, url + ready, log)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(LIMIT)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise install.PeerError(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
