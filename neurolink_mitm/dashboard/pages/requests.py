from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View


def requests(view: View) -> Context:
    return {"report": view.status}


PAGE = Page("requests", "Requests", (Part("requests", requests, live=False),))
