from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurolink_mitm.dashboard.actions import ACTIONS
from neurolink_mitm.dashboard.jobs import Job
from neurolink_mitm.dashboard.page import Context, Page, Part, View
from neurolink_mitm.dashboard.site import Site
from neurolink_mitm.records import what_if as records
from neurolink_mitm.records.estimate import NUMBERS, best
from neurolink_mitm.records.estimator import Task, estimate_in_process

HOURS = (1, 6, 24, 72)
DEFAULT = 24
FRESH = 30.0
"""Seconds for which a result is shown to the next one who runs it, too."""
TITLES = ("429s met", "Failovers", "Refused", "Paid", "List price", "Cache moved")


def what_if(view: View) -> Context:
    asked = view.query.get("hours", "")
    hours = int(asked) if asked in map(str, HOURS) else None
    job = _job(view, hours) if hours else None
    running = job is not None and job.running  # once for the whole page: it may end at any moment
    return {
        "choices": HOURS,
        "hours": hours or DEFAULT,
        "job": job,
        "running": running,
        "table": comparison(job.result, view.status["strategy"])
        if job and job.result and not running
        else None,
        "switch": "set-strategy" in ACTIONS,
    }


def _job(view: View, hours: int) -> Job:
    """Return the job of the last `hours`: a new one if there is none, or if it is old and somebody wants to run it."""
    site, name = view.site, f"what-if:{hours}"
    job = site.jobs.find(name)
    age = site.now() - job.done_at if job and job.done_at is not None else 0.0
    if job is None or (view.query.get("run") and not 0 <= age < FRESH):
        job = site.jobs.start(name, lambda job: estimate(site, hours, job))
    return job


def estimate(site: Site, hours: int, job: Job) -> Mapping[str, Any]:
    """Return what the strategies would have done in the last hours."""
    setting = records.setting_of(site.config, site.on_loop(lambda: site.runtime.pool.accounts))
    until = site.now()
    task = Task(str(site.home.logs), until - hours * 3600, until, setting)
    return estimate_in_process(task, job.advance)


def comparison(result: Mapping[str, Any], in_force: str) -> Mapping[str, Any]:
    """Return the rows of both tables: a strategy with its numbers, and an account with its requests."""
    reports: Mapping[str, Mapping[str, Any]] = result["reports"]
    winners = best({name: each for name, each in reports.items() if name != "recorded"})
    most = {name: max(each[name] for each in reports.values()) for name in NUMBERS}
    rows = [
        {
            "strategy": strategy,
            "in_force": strategy == in_force,
            "recorded": strategy == "recorded",
            "unpriced": report["unpriced"],
            "cells": [
                {
                    "name": name,
                    "title": title,
                    "value": report[name],
                    "share": report[name] / most[name] if most[name] else 0.0,
                    "best": strategy in winners.get(name, ()),
                }
                for name, title in zip(NUMBERS, TITLES, strict=True)
            ],
        }
        for strategy, report in reports.items()
    ]
    labels = dict.fromkeys(label for report in reports.values() for label in report["served"])
    accounts = [
        (label, [report["served"].get(label, 0) for report in reports.values()]) for label in labels
    ]
    refused = [report["refused"] for report in reports.values()]
    busiest = max((n for _, counts in accounts for n in counts), default=0) or 1
    return {**result, "rows": rows, "accounts": accounts, "refused": refused, "busiest": busiest}


PAGE = Page("what-if", "What if", (Part("what-if", what_if),), styles=("what-if.css",))
