from __future__ import annotations

from neurolink_mitm.dashboard.page import Context, Page, Part, View


def accounts(view: View) -> Context:
    return {"report": view.status}


PAGE = Page("accounts", "Accounts", (Part("accounts", accounts, live=True),))
