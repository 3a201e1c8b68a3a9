"""`neurolink cluster status`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from neurolink_mitm.cli.ui.exits import FAILED, USAGE, fail
from neurolink_mitm.cli.ui.options import config_option, env_file_option, format_option
from neurolink_mitm.cli.ui.running import running_status
from neurolink_mitm.cli.ui.terminal import print_report

Report = Mapping[str, Any]
NO_CLUSTER = "the configuration has no cluster.url: this proxy is by itself"


@click.command(name="status")
@config_option()
@env_file_option
@format_option
def command(config: Path | None, env_file: Path | None, form: str) -> None:
    """Show the replicas: versions, clocks, how they reach Redis, and in what one differs from the others.

    It asks the running proxy of this home; without one, or with `--config`, Redis itself.

    Exit code 1 if Redis does not answer, 2 if the configuration has no cluster.

    Example: neurolink cluster status --format json
    """
    report = _of_proxy() if config is None else None
    report = report or _of_redis(config, env_file)
    print_report(form, report, lambda: _text(report))
    if report["redis"]["state"] != "connected":
        raise SystemExit(FAILED)


def _of_proxy() -> Report | None:
    """Return the part of the running proxy's report; None if none runs, or that has no cluster."""
    report = running_status()
    return report.get("cluster") if report else None


def _of_redis(path: Path | None, env_file: Path | None) -> Report:
    """Ask Redis, by the configuration alone: neither key nor logins are needed."""
    from neurolink_mitm.cli.ui.home import configuration, network

    config = configuration(path, env_file)
    if config.cluster is None:
        fail(NO_CLUSTER, USAGE)
    try:
        from neurolink_mitm.cluster.observer import look
    except ImportError:
        from neurolink_mitm.adapters.system import how_to_install

        fail(f"packages are missing; run {how_to_install('cluster')}", USAGE)
    way = network(config, path)
    return asyncio.run(look(config.cluster, lambda: way.context))


def _text(report: Report) -> str:
    from neurolink_mitm.cli.cluster.status_text import cluster_view
    from neurolink_mitm.cli.ui.tables import printed

    return printed(cluster_view(report, time.time()))
