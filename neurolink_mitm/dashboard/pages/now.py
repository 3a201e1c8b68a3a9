from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View
from neurolink_mitm.dashboard.pool import pool


def live_requests(view: View) -> Context:
    return {"report": view.status}


PAGE = Page(
    "now",
    "Now",
    (
        Part("live-requests", live_requests, live=True),
        Part("pool", pool, live=True),
    ),
)
