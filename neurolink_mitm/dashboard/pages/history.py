from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View


def history(view: View) -> Context:
    return {"report": view.status}


PAGE = Page("history", "History", (Part("history", history, live=False),))
