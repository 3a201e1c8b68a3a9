from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboard.harness import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_a_part_needs_both_halves_of_the_session(dashboard: Served) -> None:
    with dashboard.signed_in() as client:
        assert client.get("/parts/pool").status_code == 200
        key = client.headers.pop("x-neurolink-key")
        assert client.get("/parts/pool").status_code == 401
        client.headers["x-neurolink-key"] = key
        client.cookies.clear()
        assert client.get("/parts/pool").status_code == 401


@pytest.mark.real("browser")
def test_the_link_signs_a_browser_in(dashboard: Served, browser: Browser) -> None:
    from tests.dashboard.chromium import tab

    with tab(browser, dashboard) as opened:
        opened.page.wait_for_selector("#connection[data-state=live]")
