from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View


def configuration(view: View) -> Context:
    return {"report": view.status}


PAGE = Page("configuration", "Configuration", (Part("configuration", configuration, live=False),))
