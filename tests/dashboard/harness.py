"""The dashboard of a real proxy in this process, and browsers that look at it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import httpx

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.core.auth.client_keys import digest
from neurolink_mitm.core.settings.dashboard import Dashboard as Settings
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.dashboard import Dashboard
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.ports import Runtime
from tests.flows.harness import LIMIT, Proxy

KEY_HEADER = "x-neurolink-key"


@dataclass
class Served:
    """A proxy with a dashboard; `with` starts and stops both. `proxy` is not started before."""

    proxy: Proxy
    home: Home
    settings: Settings = field(default_factory=lambda: Settings(port=0))

    def __enter__(self) -> Self:
        self.home.create()
        self.proxy.config = _with(self.proxy.config, self.settings)
        change, addons = self.proxy.change, self.proxy.addons

        def changed(runtime: Runtime) -> None:
            change(runtime)
            self.site = Site(runtime, self.home)
            runtime.dashboard = self.dashboard = Dashboard(self.site)
            self.dashboard.configure(runtime.config)

        self.proxy.change = changed
        self.proxy.addons = lambda runtime: [*addons(runtime), _Lifecycle(self)]
        self.proxy.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.proxy.__exit__(*exc)

    @property
    def url(self) -> str:
        assert self.dashboard.url
        return self.dashboard.url

    @property
    def link(self) -> str:
        """A new link, as `neurolink dashboard` opens it."""
        token = secrets.token_urlsafe(32)
        self.dashboard.expect(digest(token))
        return f"{self.url}/signin#{token}"

    def client(self, **options: Any) -> httpx.Client:
        """A client that is nobody yet; it names this page as its origin."""
        headers = {"origin": self.url, **options.pop("headers", {})}
        return httpx.Client(
            base_url=self.url, timeout=LIMIT, trust_env=False, headers=headers, **options
        )

    @contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        """A client with both halves of a session."""
        with self.client() as client:
            token = self.link.partition("#")[2]
            response = client.post("/signin", json={"token": token})
            assert response.status_code == 200, response.text
            client.headers[KEY_HEADER] = response.json()["key"]
            yield client


class _Lifecycle:
    """The addon that starts and stops the dashboard on the loop of the flows."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def running(self) -> None:
        await self._served.dashboard.start()

    async def done(self) -> None:
        await self._served.dashboard.stop()


def _with(config: Config, settings: Settings) -> Config:
    return replace(config, dashboard=settings)


def served(proxy: Proxy, tmp_path: Path, **settings: Any) -> Served:
    """A dashboard on any free port, with a home below `tmp_path`."""
    return Served(proxy, Home(tmp_path / ".neurolink"), Settings(**{"port": 0, **settings}))
