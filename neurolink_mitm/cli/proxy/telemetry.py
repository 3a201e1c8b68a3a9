"""`neurolink proxy telemetry`: runs a collector and OpenObserve on this machine; prints what Prometheus gets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.cli.ui import http_client
from neurolink_mitm.cli.ui.exits import FAILED, NOT_RUNNING, fail
from neurolink_mitm.cli.ui.groups import Group
from neurolink_mitm.cli.ui.home import home
from neurolink_mitm.cli.ui.options import format_option
from neurolink_mitm.cli.ui.running import admin_headers, running_state, running_status
from neurolink_mitm.cli.ui.terminal import as_json, done, print_report, skipped
from neurolink_mitm.config.env_file import chosen, read_environment, remove_variable, set_variable
from neurolink_mitm.telemetry.dashboard import dashboard
from neurolink_mitm.telemetry.local_collector import Access, Compose, ComposeError, TelemetryFiles
from neurolink_mitm.telemetry.setup import ENDPOINT, OTLP_PORT

if TYPE_CHECKING:
    from neurolink_mitm.telemetry.openobserve import OpenObserve


READY = 120.0
"""Seconds after which an OpenObserve that was started and does not respond has failed."""


class TelemetryGroup(Group):
    def invoke(self, ctx: click.Context) -> Any:
        with _failing_in_one_line():
            return super().invoke(ctx)


@click.group("telemetry", cls=TelemetryGroup)
def command() -> None:
    """Run an OpenTelemetry collector and dashboards (OpenObserve) in Docker; print what Prometheus gets."""


@command.command()
def metrics() -> None:
    """Print the metrics of the running proxy, as Prometheus reads them at /metrics.

    Example: neurolink proxy telemetry metrics
    """
    state = running_state()
    response = http_client.ask(f"{state.url}/metrics", None, admin_headers(state))
    if response.status != 200:
        fail(f"{state.url}/metrics does not answer", FAILED)
    click.echo(response.body.decode(), nl=False)


@command.command("dashboard")
def grafana_dashboard() -> None:
    """Print a dashboard for Grafana, to be imported there.

    Example: neurolink proxy telemetry dashboard > neurolink.json
    """
    text = (files("neurolink_mitm.telemetry") / "grafana.json").read_text("utf-8")
    click.echo(text, nl=False)


@command.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5080, show_default=True,
    help="Of OpenObserve's pages, on loopback.",
)  # fmt: skip
@click.option(
    "--otlp-port", type=click.IntRange(1, 65535), default=OTLP_PORT, show_default=True,
    envvar="NEUROLINK_OTLP_HTTP_PORT",
    help="Of the collector, on loopback; also NEUROLINK_OTLP_HTTP_PORT.",
)  # fmt: skip
def setup(port: int, otlp_port: int) -> None:
    """Start collector and OpenObserve, import the dashboard, and tell the proxy of them by .env.

    Run it again to update them: password and data stay.

    Example: neurolink proxy telemetry setup
    """
    place = home()
    files, env_file = _files(place), _env_file(place)
    _compose(files).check()
    _refuse_other(place, env_file, files.read(), f"http://127.0.0.1:{otlp_port}")
    place.create()
    before = files.read()
    access = files.write(port, otlp_port)
    done(f"wrote {files.folder} (the password is in {files.access.name})")
    _compose(files).up()
    done("collector and OpenObserve run")
    backend = _backend(access)
    backend.wait(READY)
    page = _import(backend)
    done("imported the dashboard")
    _name(env_file, access, before)
    done(f"{env_file} names the collector: {access.endpoint}")
    _extra()
    click.echo(f"\nLook at {page}\nas {access.user}, with the password in {files.access}")


@command.command()
def start() -> None:
    """Start them again after a stop.

    Example: neurolink proxy telemetry start
    """
    files, access = _set_up()
    _compose(files).check()
    _compose(files).up()
    _backend(access).wait(READY)
    click.echo(f"collector at {access.endpoint}, OpenObserve at {access.url}")


@command.command()
@click.option("--remove", is_flag=True, help="Also delete all data, and take it out of .env.")
def stop(remove: bool) -> None:
    """Stop collector and OpenObserve; what they have kept stays.

    Example: neurolink proxy telemetry stop --remove
    """
    if remove:
        click.echo(_remove(home()))
        return
    files, _ = _set_up()
    _compose(files).check()
    _compose(files).down()
    click.echo(
        "stopped; the proxy goes on and counts what it can't send (to switch that off: --remove)"
    )


@command.command()
@format_option
def status(form: str) -> None:
    """Show whether they run, and what the proxy has told them. Exit code 3 if they do not.

    Example: neurolink proxy telemetry status --format json
    """
    files, access = _set_up()
    compose = _compose(files)
    compose.check()
    services = compose.services()
    answers = _backend(access).answers()
    running = answers and services.get("collector") == "running"
    report = {
        "running": running,
        "url": access.url,
        "endpoint": access.endpoint,
        "services": dict(services),
        "openobserveAnswers": answers,
        "proxy": _proxy(),
    }
    print_report(form, report, lambda: _text(report))
    if not running:
        raise SystemExit(NOT_RUNNING)


@command.command()
@click.argument("service", required=False, type=click.Choice(["collector", "openobserve"]))
@click.option(
    "-f", "--follow/--no-follow", default=True, show_default=True,
    help="Go on with what comes, until Ctrl-C.",
)  # fmt: skip
@click.option("-n", "--tail", type=click.IntRange(1), default=100, show_default=True, help="Lines.")
def logs(service: str | None, follow: bool, tail: int) -> None:
    """Show what collector and OpenObserve say.

    Example: neurolink proxy telemetry logs collector
    """
    files, _ = _set_up()
    compose = _compose(files)
    compose.check()
    arguments = ["--tail", str(tail), *(["--follow"] if follow else [])]
    code = compose.logs([*arguments, *([service] if service else [])])
    raise SystemExit(FAILED if code else 0)


@command.command("import-dashboard")
@click.option("--print", "show", is_flag=True, help="Only print it, for an OpenObserve elsewhere.")
def import_dashboard(show: bool) -> None:
    """Import the dashboard into OpenObserve anew, in place of the one before.

    Example: neurolink proxy telemetry import-dashboard
    """
    if show:
        click.echo(as_json(dashboard()), nl=False)
        return
    _, access = _set_up()
    click.echo(f"imported: {_import(_backend(access))}")


def remove_all(place: Home) -> str | None:
    """Remove containers and files for `proxy uninstall --purge`. Return what was done; None for nothing."""
    if not place.telemetry.exists():
        return None
    with _failing_in_one_line():
        return _remove(place)
    return None


def _remove(place: Home) -> str:
    files = _files(place)
    if not files.folder.exists():
        return "nothing is set up"
    try:
        access = files.read()
    except ValueError:  # it is damaged, and about to go
        access = None
    compose = _compose(files)
    compose.check()
    compose.down(volumes=True)
    if access:
        remove_variable(_env_file(place), ENDPOINT, access.endpoint)
    shutil.rmtree(files.folder)
    return f"removed: containers, data, {files.folder}, and the collector's line in .env"


def _files(place: Home) -> TelemetryFiles:
    return TelemetryFiles(place.telemetry)


def _set_up() -> tuple[TelemetryFiles, Access]:
    files = _files(home())
    access = files.read()
    if access is None:
        fail("nothing is set up here: run `neurolink proxy telemetry setup`", NOT_RUNNING)
    return files, access


def _compose(files: TelemetryFiles) -> Compose:
    return Compose(files.compose, files.access, os.environ)


def _backend(access: Access) -> OpenObserve:
    from neurolink_mitm.telemetry.openobserve import OpenObserve

    return OpenObserve(access.url, access.user, access.password)


def _import(backend: OpenObserve) -> str:
    return backend.import_dashboard(dashboard())


def _env_file(place: Home) -> Path:
    return chosen(os.environ, place, None)[0]


def _refuse_other(place: Home, env_file: Path, ours: Access | None, wanted: str) -> None:
    """Exit where the environment names another collector: the user's choice is not replaced."""
    named = read_environment(os.environ, place).values.get(ENDPOINT, "").strip()
    if named and named not in (wanted, ours.endpoint if ours else None):
        where = "the environment" if os.environ.get(ENDPOINT) else str(env_file)
        fail(f"{where} sets {ENDPOINT} to another collector: remove that first", FAILED)


def _name(env_file: Path, access: Access, before: Access | None) -> None:
    if before and before.endpoint != access.endpoint:
        remove_variable(env_file, ENDPOINT, before.endpoint)
    set_variable(env_file, ENDPOINT, access.endpoint)


def _extra() -> None:
    from neurolink_mitm.telemetry.otlp import MISSING, installed

    if not installed():
        skipped(MISSING)


def _proxy() -> object:
    """Return `telemetry` of the running proxy's `/status`; None where no proxy runs, or its export is off."""
    report = running_status()
    return report.get("telemetry") if report else None


def _text(report: dict[str, object]) -> str:
    services, proxy = report["services"], report["proxy"]
    assert isinstance(services, dict)
    lines = [f"{name}: {state}" for name, state in sorted(services.items())] or ["nothing runs"]
    answers = "answers" if report["openobserveAnswers"] else "does not answer"
    lines.append(f"OpenObserve {answers} at {report['url']}")
    lines.append(f"collector: {report['endpoint']}")
    if isinstance(proxy, dict):
        counts = f"exported {proxy['exported']}, dropped {proxy['dropped']}"
        lines.append(f"proxy: {counts}" + (f"; {proxy['lastError']}" if proxy["lastError"] else ""))
    else:
        lines.append("proxy: does not run, or sends nothing")
    return "\n".join(lines) + "\n"


@contextmanager
def _failing_in_one_line() -> Iterator[None]:
    """End the command with one line on stderr when an adapter fails."""
    from neurolink_mitm.telemetry.openobserve import OpenObserveError

    try:
        yield
    except (ComposeError, OpenObserveError, ValueError) as e:
        fail(str(e), FAILED)
