"""`neurolink proxy telemetry metrics` and `dashboard`: print the Prometheus text and the Grafana dashboard."""

from __future__ import annotations

from importlib.resources import files

import click

from neurolink_mitm.cli.exits import FAILED, fail
from neurolink_mitm.cli.running import owner, running_state


@click.command()
def metrics() -> None:
    """Print the metrics of the running proxy, as Prometheus reads them at /metrics.

    Example: neurolink proxy telemetry metrics
    """
    from neurolink_mitm.cli import http_client

    state = running_state()
    text = http_client.get_text(f"{state.url}/metrics", owner(state))
    if text is None:
        fail(f"{state.url}/metrics does not answer", FAILED)
    click.echo(text, nl=False)


@click.command()
def dashboard() -> None:
    """Print a dashboard for Grafana, to be imported there.

    Example: neurolink proxy telemetry dashboard > neurolink.json
    """
    text = (files("neurolink_mitm") / "dashboards" / "grafana.json").read_text("utf-8")
    click.echo(text, nl=False)
