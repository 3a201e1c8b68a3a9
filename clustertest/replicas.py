"""The replicas: `neurolink proxy start`, each with a home of its own, and what they say of themselves."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil

from bench.children import HOST, ROOT, child

_NEUROLINK = (sys.executable, "-m", "neurolink_mitm.cli")
_STOP_SECONDS = 40.0
_COMMAND_SECONDS = 20.0


@dataclass(frozen=True)
class Pool:
    """The accounts and settings that all replicas have in common.

    `logins` are subscriptions, with the seconds for which their tokens are good; `keys` API keys, with their settings.
    """

    logins: dict[str, float] = field(default_factory=dict)
    keys: dict[str, dict[str, object]] = field(default_factory=dict)
    routing: dict[str, object] = field(default_factory=dict)
    settings: dict[str, object] = field(default_factory=dict)

    def config(self, cluster: Mapping[str, object] | None) -> dict[str, object]:
        accounts = [
            {"name": name, "apiKey": f"${{CLUSTERTEST_KEY_{name.upper()}}}", **settings}
            for name, settings in self.keys.items()
        ]
        return {
            "version": 1,
            "defaultBaseUrl": "${CLUSTERTEST_UPSTREAM}",
            "accounts": {"anthropic": accounts},
            "routing": {"session-affinity": True, **self.routing},
            "oauth": {"token-urls": ["${CLUSTERTEST_UPSTREAM}/v1/oauth/token"]},
            "dashboard": {"enabled": False},
            **({"cluster": cluster} if cluster else {}),
            **self.settings,
        }

    def tokens(self) -> dict[str, object]:
        now = int(time.time() * 1000)
        return {
            "version": "2.0",
            "lastModified": now,
            "providers": {
                f"anthropic:{name}": _login(name, lasts, now) for name, lasts in self.logins.items()
            },
        }


def _login(name: str, lasts: float, now: int) -> dict[str, object]:
    return {
        "type": "oauth",
        "tokens": {
            "accessToken": f"sk-ant-oat-{name}-0",
            "refreshToken": f"sk-ant-ort-{name}-0",
            "expiresAt": now + int(lasts * 1000),
            "tokenType": "Bearer",
            "scope": "user:inference",
        },
        "account": {"uuid": f"account-{name}", "organizationUuid": f"organization-{name}"},
        "createdAt": now,
        "lastAccessed": now,
    }


class Replica:
    """One proxy. It keeps its home and port over restarts."""

    def __init__(self, number: int, home: Path, port: int, upstream: int, pool: Pool) -> None:
        self.number, self.home, self.port, self.pool = number, home, port, pool
        self.pid = 0
        self._upstream = upstream
        self._running = ExitStack()

    def lay_out(self, cluster: Mapping[str, object] | None, key: str | None) -> None:
        """Write its home: configuration, logins, the cluster's key."""
        self._neurolink.mkdir(parents=True, mode=0o700)
        config = json.dumps(self.pool.config(cluster))
        (self._neurolink / "proxy-config.yaml").write_text(config)  # JSON is YAML
        tokens = self._neurolink / "tokens.json"
        tokens.write_text(json.dumps(self.pool.tokens()))
        tokens.chmod(0o600)
        if key:
            path = self._neurolink / "cluster.key"
            path.touch(0o600)
            path.write_text(key)

    async def start(self, ahead: float = 0.0) -> None:
        """Start it, with a clock that is `ahead` by so many seconds. Raises StartError.

        Who is cancelled meanwhile waits for the process, so that `end` ends it.
        """
        starting = asyncio.ensure_future(asyncio.to_thread(self._start, ahead))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait([starting])
            raise

    def _start(self, ahead: float) -> None:
        command = [*_NEUROLINK, "proxy", "start", "--quiet", "--no-claude-settings"]
        command += ["--port", str(self.port)]
        settings = self._settings
        if ahead:
            settings["CLUSTERTEST_AHEAD"] = str(ahead)
            settings["PYTHONPATH"] = str(ROOT / "clustertest" / "shifted_clock")
        running = child(
            f"replica {self.number}", command, self.home, lambda: is_ready(self.port), settings
        )
        self.pid = self._running.enter_context(running)

    async def command(self, *words: str) -> str:
        """Run `neurolink` in its home, as a user would; return what it prints. Raises CalledProcessError."""
        return await asyncio.to_thread(self._run, words)

    def _run(self, words: Sequence[str]) -> str:
        done = subprocess.run(
            [*_NEUROLINK, *words],
            cwd=ROOT,
            env={**os.environ, **self._settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=True,
        )
        return done.stdout.strip()

    async def kill(self) -> None:
        """End it at once (SIGKILL)."""
        psutil.Process(self.pid).kill()
        await self.end()

    async def end(self) -> None:
        """End it by SIGTERM, if it runs, and wait."""
        running, self._running, self.pid = self._running, ExitStack(), 0
        await asyncio.to_thread(running.close)

    async def drain(self) -> int:
        """End it by SIGTERM, and wait as long as it takes to drain. Return the exit code."""
        process = psutil.Process(self.pid)
        process.terminate()
        code = await asyncio.to_thread(process.wait, _STOP_SECONDS)
        await self.end()
        return int(code)

    async def status(self) -> dict[str, Any]:
        """Return its /status; empty if it does not answer."""
        return await asyncio.to_thread(get_json, self.port, "/status")

    @property
    def output(self) -> str:
        return (self.home / "output.log").read_text(errors="replace")

    @property
    def neurolink_home(self) -> Path:
        return self._neurolink

    @property
    def _settings(self) -> dict[str, str]:
        return {
            "NEUROLINK_HOME": str(self._neurolink),
            "CLAUDE_CONFIG_DIR": str(self.home / "claude"),
            "HOME": str(self.home),
            "CLUSTERTEST_UPSTREAM": f"http://{HOST}:{self._upstream}",
            **{f"CLUSTERTEST_KEY_{n.upper()}": f"sk-ant-api-{n}-0" for n in self.pool.keys},
        }

    @property
    def _neurolink(self) -> Path:
        return self.home / "neurolink"

    def rows(self, family: str) -> list[dict[str, Any]]:
        """Return its log's rows: `proxy` or `proxy-attempts`."""
        paths = sorted((self._neurolink / "logs").glob(f"{family}-2*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


async def levels(replicas: Sequence[Replica], account: str) -> list[int]:
    """Return the back-off level of an account as each replica knows it."""
    return [each["backoffLevel"] for each in await account_of(replicas, account)]


async def account_of(replicas: Sequence[Replica], account: str) -> list[dict[str, Any]]:
    """Return what each replica says of an account."""
    statuses = await asyncio.gather(*(replica.status() for replica in replicas))
    return [
        each
        for status in statuses
        for each in status.get("stats", {}).get("accounts", [])
        if each["label"] == account
    ]


def is_ready(port: int) -> bool:
    return get(port, "/ready")[0] == 200


def get_json(port: int, path: str) -> dict[str, Any]:
    _, body = get(port, path)
    with suppress(ValueError):
        answer: dict[str, Any] = json.loads(body)
        return answer
    return {}


def get(port: int, path: str, key: str = "") -> tuple[int, bytes]:
    """Return status and body of a page; 0 if it can't be had."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"x-api-key": key} if key else {}
    request = urllib.request.Request(f"http://{HOST}:{port}{path}", headers=headers)
    try:
        with opener.open(request, timeout=2) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()
    except (OSError, HTTPException):
        return 0, b""
