from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View


def what_if(view: View) -> Context:
    return {"report": view.status}


PAGE = Page("what-if", "What if", (Part("what-if", what_if, live=False),))
