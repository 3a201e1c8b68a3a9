from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View


def request(view: View) -> Context:
    return {"report": view.status}


PAGE = Page("request", "Request", (Part("request", request, live=False),), in_menu=False)
