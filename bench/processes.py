"""The processes of upstream and proxies."""

import socket
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

from bench.children import ROOT, child
from bench.variants import ORDINARY, Variant

_HOST = "127.0.0.1"
_MITMDUMP = "from mitmproxy.tools.main import mitmdump; mitmdump()"
_CONFIG = """\
defaultBaseUrl: http://127.0.0.1:{port}
accounts: {{anthropic: [{{name: bench, apiKey: "${{BENCH_KEY}}"}}]}}
{settings}"""


@dataclass(frozen=True)
class Server:
    """A server on loopback. `pid` is None if its CPU and memory are not measured."""

    name: str
    port: int
    pid: int | None = None


@contextmanager
def upstream() -> Iterator[Server]:
    """Run the upstream: the row `direct`, and the upstream of the proxies."""
    port = free_port()
    command = [sys.executable, "-m", "bench.upstream", str(port)]
    # it ends when this pipe closes
    pipe = subprocess.PIPE
    with _home() as home, child("upstream", command, home, lambda: _accepts(port), stdin=pipe):
        yield Server("direct", port)


@contextmanager
def mitmdump(upstream_port: int) -> Iterator[Server]:
    """Run stock mitmdump in reverse mode, quiet, with streamed responses."""
    port = free_port()
    with _home() as home:
        command = [sys.executable, "-c", _MITMDUMP, "-q"]
        command += ["--mode", f"reverse:http://{_HOST}:{upstream_port}"]
        command += ["--listen-host", _HOST, "-p", str(port)]
        command += ["-s", str(ROOT / "bench" / "stream_response.py")]
        command += ["--set", f"confdir={home}", "--set", "connection_strategy=lazy"]
        with child("mitmdump", command, home, lambda: _accepts(port)) as pid:
            yield Server("mitmdump", port, pid)


@contextmanager
def neurolink(upstream_port: int, variant: Variant = ORDINARY) -> Iterator[Server]:
    """Run `neurolink proxy start` with one API-key account, in a home of its own."""
    port = free_port()
    with _home() as home:
        config = home / "proxy-config.yaml"
        config.write_text(_CONFIG.format(port=upstream_port, settings=variant.settings))
        command = [sys.executable, "-m", *variant.module]
        command += ["--port", str(port), "--config", str(config)]
        settings = {
            "NEUROLINK_HOME": str(home / "neurolink"),
            "CLAUDE_CONFIG_DIR": str(home / "claude"),
            "BENCH_KEY": "sk-ant-test-bench",
        }
        ready = partial(_is_healthy, port)
        with child(variant.name, command, home, ready, settings, root=variant.root) as pid:
            yield Server(variant.name, port, pid)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _home() -> Iterator[Path]:
    # A process that is being killed may write a moment longer.
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection((_HOST, port), 1):
        return True
    return False


def _is_healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    url = f"http://{_HOST}:{port}/health"
    with suppress(OSError, HTTPException), opener.open(url, timeout=2) as reply:
        return bool(reply.status == 200)
    return False
