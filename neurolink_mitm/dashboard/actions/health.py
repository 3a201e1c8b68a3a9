from __future__ import annotations

from neurolink_mitm.dashboard.action import Action, Done, Form
from neurolink_mitm.dashboard.site import Site


def make_bundle(site: Site, form: Form) -> Done:
    """Put the support bundle together, in the background."""
    site.jobs.start("bundle", lambda job: as_text(site))
    site.audit.record("support bundle")
    return Done("The support bundle is being put together.", refresh=("bundle",))


def as_text(site: Site) -> str:
    """Return the files of the bundle as one text; without any, an empty one."""
    return "\n".join(f"===== {name} =====\n{text}" for name, text in site.bundle().items())


ACTIONS: tuple[Action, ...] = (
    # it changes nothing, so that it is there where the dashboard is read-only, too
    Action("make-bundle", make_bundle, changes=False),
)
