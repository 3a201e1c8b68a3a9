from __future__ import annotations

from neurolink_mitm.config.proposal import file_of
from neurolink_mitm.dashboard.page import Context, Page, Part, View
from neurolink_mitm.dashboard.views.config_view import (
    checked_form,
    chosen_accounts,
    env_file,
    last_version,
)


def config_file(view: View) -> Context:
    """The file, when it was loaded, and what is wrong with it."""
    report = view.status["config"]
    return {
        "path": report["path"] or str(file_of(view.site.sources, view.site.home)),
        "exists": report["path"] is not None,
        "loaded_at": report["loadedAt"],
        "errors": report["errors"],
    }


def configuration(view: View) -> Context:
    """All values in force, as a form; with a form that was sent, its check."""
    form, site = view.query, view.site
    checked = checked_form(site, form)
    shown, names = chosen_accounts(checked.sections, form.get("account", ""))
    version, is_current = last_version(site)
    # a refresh asks anew, without what the form had
    view.query = {key: form[key] for key in ("account",) if key in form}
    path, variables = env_file(site)
    return {
        "checked": checked,
        "was_checked": "digest" in form,
        "sections": shown,
        "names": names,
        "labels": [each.title for each in checked.sections if each.account],
        "account": form.get("account", ""),
        "version": version,
        "is_current": is_current,
        "strategy": site.sources.strategy,
        "sandbox": site.sources.accounts is not None,
        "env_path": path,
        "variables": variables,
    }


PAGE = Page(
    "configuration",
    "Configuration",
    (
        Part("config-file", config_file, live=True),
        Part("configuration", configuration, live=False),
    ),
    styles=("configuration.css",),
    scripts=("configuration.js",),
)
