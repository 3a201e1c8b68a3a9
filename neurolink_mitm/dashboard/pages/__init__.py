"""The pages in the order of the menu, a file each."""

from __future__ import annotations

from neurolink_mitm.dashboard.page import Page
from neurolink_mitm.dashboard.pages import (
    accounts,
    configuration,
    health,
    history,
    now,
    request,
    requests,
    what_if,
)

PAGES: tuple[Page, ...] = (
    now.PAGE,
    history.PAGE,
    requests.PAGE,
    accounts.PAGE,
    what_if.PAGE,
    configuration.PAGE,
    health.PAGE,
    request.PAGE,
)
"""The first is at `/`."""
