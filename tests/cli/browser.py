"""Chromium without a window, driven through ChromeDriver by the W3C's protocol: https://www.w3.org/TR/webdriver2/."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import LIMIT, wait_until

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which the protocol hands out elements."""
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


@dataclass(frozen=True)
class Browser:
    """One window."""

    session: httpx.Client

    def open(self, url: str) -> None:
        self._post("url", {"url": url})

    @property
    def text(self) -> str:
        """All that the page shows."""
        found: str = self.run("return document.body.innerText")
        return found

    @property
    def html(self) -> str:
        """All that the page holds, shown or not."""
        found: str = self.run("return document.documentElement.outerHTML")
        return found

    def run(self, script: str) -> Any:
        return self._post("execute/sync", {"script": script, "args": []})

    def click(self, xpath: str) -> None:
        """Once it is there."""
        wait_until(lambda: self._found(xpath), f"{xpath} is on the page: {self.text[:2000]}")
        self._post(f"element/{self._found(xpath)[0][ELEMENT]}/click", {})

    def expect(self, pattern: str) -> None:
        wait_until(
            lambda: re.search(pattern, self.text), f"{pattern!r} is shown: {self.text[:2000]}"
        )

    def screenshot(self, path: Path) -> None:
        path.write_bytes(b64decode(self._answer(self.session.get("screenshot"))))

    def _found(self, xpath: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self._post("elements", {"using": "xpath", "value": xpath})
        return found

    def _post(self, path: str, body: Any) -> Any:
        return self._answer(self.session.post(path, json=body))

    @staticmethod
    def _answer(response: httpx.Response) -> Any:
        document = response.json()
        assert response.status_code == 200, document
        return document["value"]


@contextmanager
def browser(place: Path) -> Iterator[Browser]:
    """With a profile of its own in `place`."""
    said = place / "driver.log"
    with said.open("wb") as log:
        driver = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: _port(said), f"the driver listens: {said.read_text()}")
        with httpx.Client(base_url=f"http://127.0.0.1:{_port(said)}", timeout=3 * LIMIT) as client:
            arguments = [
                *ARGUMENTS,
                f"--user-data-dir={place / 'profile'}",
                "--window-size=1400,1240",
            ]
            options = {"binary": shutil.which("chromium"), "args": arguments}
            wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            answer = client.post("/session", json=wanted).json()["value"]
            assert "sessionId" in answer, answer
            session = f"http://127.0.0.1:{_port(said)}/session/{answer['sessionId']}"
            client.base_url = session
            try:
                yield Browser(client)
            finally:
                client.delete(session)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)  # the browser as well, whatever happened
        driver.wait(LIMIT)


def _port(said: Path) -> str | None:
    found = re.search(r"started successfully on port (\d+)", said.read_text())
    return found[1] if found else None
