"""The doctor, as the dashboard of a running proxy asks it. It is imported when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurolink_mitm.dashboard.site import BusyError, Site

if TYPE_CHECKING:
    from neurolink_mitm.doctor.checks import ProbeContext


def set_doctor(site: Site, environ: Mapping[str, str], env_file: Path | None) -> None:
    """Set what the dashboard asks the doctor for. Both take seconds, in a thread of the dashboard's."""

    def diagnose() -> Mapping[str, Any]:
        from neurolink_mitm.doctor.examination import examine

        return examine(_context(site, environ, env_file))

    def bundle() -> Mapping[str, str]:
        from neurolink_mitm.doctor.examination import contents, examine

        context = _context(site, environ, env_file)
        return contents(context, _status(site), examine(context))

    site.diagnose, site.bundle = diagnose, bundle


def _context(site: Site, environ: Mapping[str, str], env_file: Path | None) -> ProbeContext:
    from neurolink_mitm.doctor.checks import ProbeContext
    from neurolink_mitm.doctor.probes import measure_clock_skew

    return ProbeContext(
        environ=environ,
        home=site.home,
        now=site.now(),
        ask=lambda state: _status(site),
        config=Path(site.runtime.config_path) if site.runtime.config_path else None,
        env_file=env_file,
        port=site.runtime.port,
        skew=measure_clock_skew,
    )


def _status(site: Site) -> Mapping[str, Any] | None:
    """Return the report of this proxy, whichever of the home the state file names first."""
    try:
        return site.status()
    except BusyError:
        return None
