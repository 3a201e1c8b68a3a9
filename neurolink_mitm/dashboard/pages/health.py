from __future__ import annotations

from neurolink_mitm.dashboard.jobs import Job
from neurolink_mitm.dashboard.page import Context, Page, Part, View
from neurolink_mitm.dashboard.views.health import machine as read_machine
from neurolink_mitm.dashboard.views.health import parts
from neurolink_mitm.dashboard.views.replicas import replicas

LEVELS = {"fail": "bad", "warn": "warn", "ok": "good"}
"""Levels of the doctor's findings, the worst first, and how they look."""
WORDS = {"fail": "to repair", "warn": "to look at", "ok": "as it should be"}


def health(view: View) -> Context:
    report = view.status
    return {
        "report": report,
        "rows": parts(view.site, report),
        "replicas": replicas(report["cluster"], view.site.now()),
        "started": view.site.runtime.started_at,
    }


def machine(view: View) -> Context:
    return {"machine": read_machine(view.site), "looked_at": view.site.now()}


def doctor(view: View) -> Context:
    """Run the doctor if somebody asks for it; else show what it found the last time."""
    job = view.site.jobs.find("doctor")
    if view.query.get("run"):
        job = view.site.jobs.start("doctor", lambda job: view.site.diagnose())
    running = job is not None and job.running
    findings = _findings(job) if job and not running else None
    return {"job": job, "running": running, "findings": findings, "levels": LEVELS, "words": WORDS}


def _findings(job: Job) -> list[dict[str, str]] | None:
    """Return what the doctor found, the worst first; None if it failed."""
    if not job.result:
        return None
    order = list(LEVELS)
    return sorted(job.result["findings"], key=lambda each: order.index(each["level"]))


def bundle(view: View) -> Context:
    job = view.site.jobs.find("bundle")
    running = job is not None and job.running
    return {"job": job, "running": running, "text": job.result if job and not running else None}


PAGE = Page(
    "health",
    "Health",
    (
        Part("health", health, live=True),
        Part("machine", machine),
        Part("doctor", doctor),
        Part("bundle", bundle),
    ),
    styles=("health.css",),
    scripts=("health.js",),
)
