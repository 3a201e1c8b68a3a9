"""Client of OpenObserve's API, to import a dashboard. https://openobserve.ai/docs/reference/api/"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from neurolink_mitm.core.redact.secret import Secret

DASHBOARDS = "/api/default/dashboards"
FOLDER = {"folder": "default"}


class OpenObserveError(Exception):
    """OpenObserve could not be asked, or refused. The message is one line."""


@dataclass(frozen=True, slots=True)
class OpenObserve:
    """Client of an OpenObserve that runs on this machine."""

    url: str
    user: str
    password: Secret

    def wait(self, limit: float) -> None:
        """Wait until OpenObserve responds. Raises `OpenObserveError` after `limit` seconds."""
        deadline = time.monotonic() + limit
        while not self.answers():
            if time.monotonic() > deadline:
                raise OpenObserveError(f"{self.url} does not answer within {limit:.0f} s")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Return whether its health check succeeds."""
        try:
            with httpx.Client(trust_env=False, timeout=5) as client:
                return client.get(f"{self.url}/healthz").is_success
        except httpx.HTTPError:
            return False

    def import_dashboard(self, document: Mapping[str, Any]) -> str:
        """Import `document`, delete older dashboards of its title, and return its URL. Raises `OpenObserveError`."""
        with self._client() as client:
            before = _ids(self._ask(client, "GET", DASHBOARDS), document["title"])
            made = self._ask(client, "POST", DASHBOARDS, json=document)
            for dashboard_id in before:
                self._ask(client, "DELETE", f"{DASHBOARDS}/{dashboard_id}")
        inner = made.get(f"v{made.get('version')}") or made
        dashboard_id = inner.get("dashboardId") or inner.get("dashboard_id") or ""
        view = f"/view?org_identifier=default&folder=default&dashboard={dashboard_id}"
        return f"{self.url}/web/dashboards{view if dashboard_id else ''}"

    def _ask(self, client: httpx.Client, method: str, path: str, **more: Any) -> dict[str, Any]:
        answer = client.request(method, path, params=FOLDER, **more)
        if answer.status_code == 401:
            raise OpenObserveError(
                f"{self.url} does not take our password: it keeps the one of its first start;"
                " `neurolink proxy telemetry stop --remove` forgets it, with all data"
            )
        if not answer.is_success:
            raise OpenObserveError(f"{self.url} answered {answer.status_code} to {method} {path}")
        document = answer.json()
        return document if isinstance(document, dict) else {}

    @contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        login = (self.user, self.password.reveal())
        try:
            with httpx.Client(base_url=self.url, auth=login, trust_env=False, timeout=15) as client:
                yield client
        except (httpx.HTTPError, ValueError) as e:
            raise OpenObserveError(f"{self.url} can't be asked: {type(e).__name__}") from e


def _ids(listed: Mapping[str, Any], title: str) -> list[str]:
    """Return the ids of the dashboards in `listed` that have `title`."""
    return [
        str(each["dashboard_id"])
        for each in listed.get("dashboards") or []
        if each.get("title") == title and each.get("dashboard_id")
    ]
