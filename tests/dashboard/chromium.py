"""Debian's chromium, driven by Playwright: nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.dashboard.harness import Served

LIMIT_MS = 30_000.0


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []  # chromium refuses root otherwise
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield browser
        browser.close()


@dataclass
class Tab:
    """A tab that is signed in. At the end nothing must have been complained of: by scripts, or by the CSP."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Parts of messages that the test provokes, such as those of refused requests."""

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def check(self) -> None:
        rest = [c for c in self.complaints if not any(each in c for each in self.expected)]
        assert rest == [], "the browser complains"


@contextmanager
def tab(
    browser: Browser, served: Served, path: str = "/", *, link: str = "", **options: Any
) -> Iterator[Tab]:
    """Open a tab with a session of its own, on the page at `path`. `options` are those of a Playwright context."""
    context: BrowserContext = browser.new_context(**options)
    context.set_default_timeout(LIMIT_MS)
    page = context.new_page()
    opened = Tab(page)
    page.on("console", opened.heard)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto(link or served.link)
    page.wait_for_url(served.url + "/")
    if path != "/":
        page.goto(served.url + path)
    yield opened
    context.close()
    opened.check()
