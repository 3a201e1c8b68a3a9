from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View


def health(view: View) -> Context:
    return {"report": view.status}


PAGE = Page("health", "Health", (Part("health", health, live=True),))
