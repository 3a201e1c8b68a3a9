"""The processes of upstream, forwarder and proxies."""

import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path

from bench.certificates import Certificates
from bench.children import HOST, ROOT, child
from bench.forms import MESSAGES, Form
from bench.variants import ORDINARY, Variant

_MITMDUMP = "from mitmproxy.tools.main import mitmdump; mitmdump()"


@dataclass(frozen=True)
class Server:
    """A server on loopback. `pid` is None if its CPU and memory are not measured; `context` if it speaks plain HTTP."""

    name: str
    port: int
    pid: int | None = None
    context: ssl.SSLContext | None = None
    form: Form = MESSAGES
    """That of its requests."""


@dataclass(frozen=True)
class Target:
    """What a proxy's requests are sent to: the upstream, or a forwarder before it."""

    port: int
    certificates: Certificates | None = None
    """Those of its TLS; None: it speaks plain HTTP."""

    @property
    def url(self) -> str:
        return f"{'https' if self.certificates else 'http'}://{HOST}:{self.port}"

    @property
    def direct(self) -> Server:
        """The target as a row of its own."""
        context = self.certificates.client_context() if self.certificates else None
        return Server("direct", self.port, context=context)


@contextmanager
def upstream(certificates: Certificates | None = None, limited_every: int = 0) -> Iterator[Target]:
    """Run the upstream; each `limited_every`th response is a 429, if not 0."""
    options = ["--certificate", str(certificates.server)] if certificates else []
    options += ["--limited-every", str(limited_every)]
    with _serving("upstream", *options) as port:
        yield Target(port, certificates)


@contextmanager
def forwarder(target: Target, round_trip_ms: int) -> Iterator[Target]:
    """Run a forwarder: `target` as it is at some distance."""
    with _serving("forwarder", str(target.port), str(round_trip_ms)) as port:
        yield Target(port, target.certificates)


@contextmanager
def _serving(name: str, *arguments: str) -> Iterator[int]:
    """Run a module of this package that serves on a port until its standard input closes."""
    port = free_port()
    command = [sys.executable, "-m", f"bench.{name}", str(port), *arguments]
    pipe = subprocess.PIPE
    with home() as folder, child(name, command, folder, partial(_accepts, port), stdin=pipe):
        yield port


@contextmanager
def mitmdump(target: Target) -> Iterator[Server]:
    """Run stock mitmdump in reverse mode, quiet, with streamed responses."""
    port = free_port()
    with home() as folder:
        command = [sys.executable, "-c", _MITMDUMP, "-q"]
        command += ["--mode", f"reverse:{target.url}"]
        command += ["--listen-host", HOST, "-p", str(port)]
        command += ["-s", str(ROOT / "bench" / "stream_response.py")]
        command += ["--set", f"confdir={folder}", "--set", "connection_strategy=lazy"]
        if target.certificates:
            trusted = target.certificates.authority
            command += ["--set", f"ssl_verify_upstream_trusted_ca={trusted}"]
        with child("mitmdump", command, folder, lambda: _accepts(port)) as pid:
            yield Server("mitmdump", port, pid)


@contextmanager
def neurolink(*targets: Target, variant: Variant = ORDINARY) -> Iterator[Server]:
    """Run `neurolink proxy start` with API-key accounts, in a home of its own.

    The accounts are distributed over `targets`.
    """
    port = free_port()
    with home() as folder:
        config = folder / "proxy-config.yaml"
        config.write_text(_config(targets, variant))
        command = [sys.executable, "-m", *variant.module]
        command += ["--port", str(port), "--config", str(config)]
        settings = {
            "NEUROLINK_HOME": str(folder / "neurolink"),
            "CLAUDE_CONFIG_DIR": str(folder / "claude"),
            **{f"BENCH_KEY_{n}": f"sk-ant-test-bench-{n}" for n in range(variant.accounts)},
        }
        if certificates := targets[0].certificates:
            settings["SSL_CERT_FILE"] = str(certificates.authority)
        ready = partial(_is_healthy, port)
        with child(variant.name, command, folder, ready, settings, root=variant.root) as pid:
            yield Server(variant.name, port, pid, form=variant.form)


def _config(targets: tuple[Target, ...], variant: Variant) -> str:
    accounts = "".join(
        f'    - {{name: bench-{number}, apiKey: "${{BENCH_KEY_{number}}}",'
        f" baseUrl: {targets[number % len(targets)].url}}}\n"
        for number in range(variant.accounts)
    )
    return (
        f"defaultBaseUrl: {targets[0].url}\naccounts:\n  anthropic:\n{accounts}{variant.settings}"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def home() -> Iterator[Path]:
    """A folder for one process."""
    # A process that is being killed may write a moment longer.
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), 1):
        return True
    return False


def _is_healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{HOST}:{port}/health"
    with suppress(OSError, HTTPException), opener.open(url, timeout=2) as reply:
        return bool(reply.status == 200)
    return False
