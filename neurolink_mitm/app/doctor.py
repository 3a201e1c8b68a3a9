"""The doctor, as the dashboard of a running proxy asks it. It is imported when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolink_mitm.dashboard.site import BusyError, Site

if TYPE_CHECKING:
    from neurolink_mitm.doctor.examiner import Result


def set_doctor(site: Site, environ: Mapping[str, str], env_file: Path | None) -> None:
    """Set what the dashboard asks the doctor for. Both take seconds, in a process of their own."""

    def ask(*, bundle: bool) -> Result:
        from neurolink_mitm.doctor.examiner import Task, examine_in_process

        task = Task(
            home=str(site.home.root),
            config=site.runtime.config_path,
            env_file=str(env_file) if env_file else None,
            port=site.runtime.port,
            now=site.now(),
            status=_status(site),
            bundle=bundle,
        )
        return examine_in_process(task, environ)

    site.diagnose = lambda: ask(bundle=False).report
    site.bundle = lambda: ask(bundle=True).files


def _status(site: Site) -> Mapping[str, Any] | None:
    """Return the report of this proxy, whichever of the home the state file names first."""
    try:
        return site.status()
    except BusyError:
        return None
