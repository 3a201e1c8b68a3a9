"""`neurolink proxy telemetry`, and /metrics of a real proxy.

`neurolink proxy telemetry`, with a stand-in for docker that notes its calls, and a look-alike of OpenObserve.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.telemetry.dashboard import TITLE, dashboard
from tests.cli.conftest import Running
from tests.cli.processes import MESSAGE, Program, Shell
from tests.openobserve import OpenObserveLookalike


def test_metrics(running: Running) -> None:
    answer = httpx.post(f"{running.url}/v1/messages", json=MESSAGE)
    assert answer.status_code == 200
    printed = running.shell.run("proxy", "telemetry", "metrics")
    assert printed.process.returncode == 0
    assert 'outcome="complete",status="200"} 1' in printed.said
    assert "proxy_tokens_output_total{" in printed.said
    served = httpx.get(f"{running.url}/metrics")
    assert served.text.splitlines()[:3] == printed.said.splitlines()[:3]


def test_metrics_of_none(shell: Shell) -> None:
    ended = shell.run("proxy", "telemetry", "metrics")
    assert ended.exit_code() == 3
    assert ended.complained.count("\n") == 1


def test_client_keys_count_for_metrics_as_for_status(shell: Shell) -> None:
    shell.run("clients", "add", "scraper")
    _, url = shell.serve("--sandbox", "--no-claude-settings")
    assert httpx.get(f"{url}/metrics").status_code == 401
    printed = shell.run("proxy", "telemetry", "metrics")  # by the user who started it
    assert printed.said.startswith("# HELP proxy_requests_total")


def test_a_dashboard(shell: Shell) -> None:
    printed = shell.run("proxy", "telemetry", "dashboard")
    assert json.loads(printed.said)["title"] == "NeuroLink"


DOCKER = """\
#!/bin/sh
echo "$@" >> "$DOCKER_CALLS"
case "$*" in
  "compose version") exit "${DOCKER_HAS_COMPOSE:-0}";;
  *" ps "*) echo "$DOCKER_PS";;
  *" up "*) if [ -n "$DOCKER_FAILS" ]; then echo "pulling"; echo "$DOCKER_FAILS" >&2; exit 18; fi;;
  *" logs "*) echo "collector | Everything is ready";;
esac
"""
RUNNING = '{"Service":"collector","State":"running"}\n{"Service":"openobserve","State":"running"}'
OTLP = "14318"
ENDPOINT = f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{OTLP}\n"
MINE = "# keys\n\nOPENAI_API_KEY='a b' # mine\nexport EMPTY=\n"


@dataclass
class Desk:
    """A place with docker and OpenObserve."""

    shell: Shell
    backend: OpenObserveLookalike

    def run(self, *arguments: str) -> Program:
        return self.shell.run("proxy", "telemetry", *arguments)

    def set_up(self, *arguments: str) -> Program:
        return self.run("setup", "--port", str(self.backend.port), "--otlp-port", OTLP, *arguments)

    @property
    def folder(self) -> Path:
        return self.shell.home / ".neurolink" / "telemetry"

    @property
    def env(self) -> Path:
        return self.shell.home / ".neurolink" / ".env"

    @property
    def access(self) -> dict[str, str]:
        lines = (self.folder / "access.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    @property
    def login(self) -> str:
        return f"{self.access['OPENOBSERVE_USER']}:{self.access['OPENOBSERVE_PASSWORD']}"

    @property
    def calls(self) -> list[str]:
        """Of docker, without what is common to all."""
        noted = self.shell.place / "calls"
        lines = noted.read_text().splitlines() if noted.exists() else []
        return [line.replace(f"{self.folder}/", "") for line in lines]


@pytest.fixture
def desk(shell: Shell) -> Iterator[Desk]:
    bin = shell.place / "bin"
    bin.mkdir()
    docker = bin / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    shell.variables |= {
        "PATH": f"{bin}:{os.environ['PATH']}",
        "DOCKER_CALLS": str(shell.place / "calls"),
        "DOCKER_PS": RUNNING,
    }
    desk = Desk(shell, OpenObserveLookalike(lambda: desk.login))
    with desk.backend:
        yield desk


PROJECT = "compose --project-name neurolink-telemetry --file compose.yaml"
UP = f"{PROJECT} --env-file access.env up --detach --remove-orphans"


def test_setup_does_it_all(desk: Desk) -> None:
    desk.shell.write(".env", MINE)
    made = desk.set_up()
    assert made.process.returncode == 0, str(made)
    assert made.said.count("[ok]") == 4
    assert desk.calls == ["compose version", UP]
    assert desk.env.read_text() == MINE + ENDPOINT
    assert [each["title"] for each in desk.backend.dashboards.values()] == [TITLE]
    assert f"http://127.0.0.1:{desk.backend.port}/web/dashboards/view?" in made.said


def test_the_password_is_made_here_and_shown_to_nobody(desk: Desk) -> None:
    made = desk.set_up()
    password = desk.access["OPENOBSERVE_PASSWORD"]
    assert len(password) > 30
    assert password not in made.said + made.complained + "".join(desk.calls)
    assert (desk.folder / "access.env").stat().st_mode & 0o777 == 0o600
    assert desk.folder.stat().st_mode & 0o777 == 0o700
    assert password not in (desk.folder / "compose.yaml").read_text()


def test_setup_twice_is_setup_once(desk: Desk) -> None:
    desk.set_up()
    before = {each.name: each.read_bytes() for each in (*desk.folder.iterdir(), desk.env)}
    assert desk.set_up().process.returncode == 0
    after = {each.name: each.read_bytes() for each in (*desk.folder.iterdir(), desk.env)}
    assert (after, len(desk.backend.dashboards)) == (before, 1)


def test_setup_moves_to_another_port(desk: Desk) -> None:
    desk.set_up()
    password = desk.access["OPENOBSERVE_PASSWORD"]
    assert desk.set_up("--otlp-port", "24318").process.returncode == 0
    assert desk.env.read_text() == ENDPOINT.replace(OTLP, "24318")
    assert desk.access["OPENOBSERVE_PASSWORD"] == password


@pytest.mark.parametrize("place", ["file", "environment"])
def test_another_collector_is_left_alone(desk: Desk, place: str) -> None:
    other = "OTEL_EXPORTER_OTLP_ENDPOINT=http://elsewhere:4318\n"
    if place == "file":
        desk.shell.write(".env", other)
    else:
        desk.shell.variables["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://elsewhere:4318"
    made = desk.set_up()
    assert made.process.returncode == 1
    assert "another collector" in made.complained
    assert (desk.calls, desk.folder.exists()) == (["compose version"], False)


def test_without_docker_it_says_what_is_needed(desk: Desk) -> None:
    (desk.shell.place / "bin" / "docker").unlink()
    desk.shell.variables["PATH"] = str(desk.shell.place / "bin")
    made = desk.set_up()
    assert made.process.returncode == 1
    assert made.complained.startswith("neurolink: docker is not there: this needs Docker")
    assert made.complained.count("\n") == 1
    assert not desk.folder.exists()


def test_without_the_plugin_it_says_what_is_needed(desk: Desk) -> None:
    desk.shell.variables["DOCKER_HAS_COMPOSE"] = "1"
    made = desk.set_up()
    assert made.process.returncode == 1
    assert "`docker compose` is not there" in made.complained


def test_what_docker_complains_of_is_told(desk: Desk) -> None:
    desk.shell.variables["DOCKER_FAILS"] = "port is already allocated"
    made = desk.set_up()
    assert made.process.returncode == 1
    assert "`docker compose up` failed: port is already allocated" in made.complained
    assert not desk.env.exists()


def test_stop_and_start(desk: Desk) -> None:
    desk.set_up()
    assert desk.run("stop").process.returncode == 0
    assert desk.run("start").process.returncode == 0
    assert desk.calls[2:] == [
        "compose version",
        f"{PROJECT} down --remove-orphans",
        "compose version",
        UP,
    ]
    assert desk.env.read_text() == ENDPOINT


@pytest.mark.parametrize("before", [MINE, None], ids=["kept", "none"])
def test_stop_remove_leaves_nothing(desk: Desk, before: str | None) -> None:
    if before:
        desk.shell.write(".env", before)
    desk.set_up()
    assert desk.run("stop", "--remove").process.returncode == 0
    assert desk.calls[-1] == f"{PROJECT} down --remove-orphans --volumes"
    assert (desk.env.read_text() if desk.env.exists() else None) == before
    assert not desk.folder.exists()
    assert desk.run("stop", "--remove").said == "nothing is set up\n"


def test_a_damaged_password_can_be_removed(desk: Desk) -> None:
    desk.set_up()
    (desk.folder / "access.env").write_text("nonsense")
    broken = desk.run("start")
    assert broken.process.returncode == 1
    assert "stop --remove" in broken.complained
    assert desk.run("stop", "--remove").process.returncode == 0
    assert not desk.folder.exists()


def test_uninstall_purges_it(desk: Desk) -> None:
    desk.set_up()
    gone = desk.shell.run("proxy", "uninstall", "--purge", "--yes")
    assert gone.process.returncode == 0, str(gone)
    assert desk.calls[-1].endswith("down --remove-orphans --volumes")
    assert not (desk.shell.home / ".neurolink").exists()


def test_status(desk: Desk) -> None:
    desk.set_up()
    shown = desk.run("status")
    assert shown.process.returncode == 0
    assert "collector: running" in shown.said
    assert "proxy: does not run" in shown.said


@pytest.mark.parametrize(
    "services", [RUNNING, f"[{RUNNING.replace(chr(10), ',')}]"], ids=["lines", "list"]
)
def test_status_as_json(desk: Desk, services: str) -> None:
    desk.shell.variables["DOCKER_PS"] = services
    desk.set_up()
    report = json.loads(desk.run("status", "--format", "json").said)
    assert report == {
        "running": True,
        "url": f"http://127.0.0.1:{desk.backend.port}",
        "endpoint": f"http://127.0.0.1:{OTLP}",
        "services": {"collector": "running", "openobserve": "running"},
        "openobserveAnswers": True,
        "proxy": None,
    }


def test_status_of_what_does_not_run(desk: Desk) -> None:
    desk.set_up()
    desk.shell.variables["DOCKER_PS"] = ""
    shown = desk.run("status")
    assert shown.process.returncode == 3
    assert "nothing runs" in shown.said


def test_status_shows_what_the_proxy_has_told(desk: Desk) -> None:
    desk.set_up()
    desk.shell.serve("--sandbox")
    report = json.loads(desk.run("status", "--format", "json").said)
    assert report["proxy"]["endpoint"] == f"http://127.0.0.1:{OTLP}"


def test_logs(desk: Desk) -> None:
    desk.set_up()
    shown = desk.run("logs", "collector", "--tail", "5")
    assert shown.said == "collector | Everything is ready\n"
    assert desk.calls[-1].endswith("logs --tail 5 --follow collector")
    desk.run("logs", "--no-follow")
    assert desk.calls[-1].endswith("logs --tail 100")


def test_the_collectors_port(desk: Desk) -> None:
    """14318, unless the environment or an option names another."""
    port = ("setup", "--port", str(desk.backend.port))
    desk.run(*port)
    assert desk.env.read_text() == ENDPOINT
    desk.shell.variables["NEUROLINK_OTLP_HTTP_PORT"] = "24319"
    desk.run(*port)
    assert desk.env.read_text() == ENDPOINT.replace(OTLP, "24319")
    desk.run(*port, "--otlp-port", "24320")
    assert desk.env.read_text() == ENDPOINT.replace(OTLP, "24320")


def test_the_dashboard_is_replaced(desk: Desk) -> None:
    desk.set_up()
    [first] = desk.backend.dashboards
    desk.backend.dashboards["mine"] = {"title": f"{TITLE} of mine"}
    assert desk.run("import-dashboard").process.returncode == 0
    assert first not in desk.backend.dashboards
    titles = sorted(each["title"] for each in desk.backend.dashboards.values())
    assert titles == [TITLE, f"{TITLE} of mine"]


def test_another_password_is_told(desk: Desk) -> None:
    desk.set_up()
    desk.backend.login = lambda: "admin:of-before"
    ended = desk.run("import-dashboard")
    assert ended.process.returncode == 1
    assert "does not take our password" in ended.complained


def test_the_dashboard_can_be_printed(shell: Shell) -> None:
    printed = shell.run("proxy", "telemetry", "import-dashboard", "--print").said
    assert json.loads(printed) == dashboard()


@pytest.mark.parametrize("name", ["start", "stop", "status", "logs", "import-dashboard"])
def test_before_setup_there_is_nothing(shell: Shell, name: str) -> None:
    ended = shell.run("proxy", "telemetry", name)
    assert ended.process.returncode == 3
    assert "run `neurolink proxy telemetry setup`" in ended.complained


def test_docker_is_what_it_was_called_by(desk: Desk) -> None:
    """Else the stand-in proves nothing."""
    assert shutil.which("docker", path=desk.shell.environment["PATH"]) == str(
        desk.shell.place / "bin" / "docker"
    )
