"""`neurolink dashboard`: a link from the running proxy, opened or printed, and written nowhere."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.adapters.state_file import ProxyState
from neurolink_mitm.cli.dashboard import new_link
from tests.cli.conftest import Running
from tests.cli.processes import Shell
from tests.cli.ui.test_running import neurolink
from tests.waiting import wait_until


def link_of(running: Running) -> tuple[str, str]:
    """The address and the token of a printed link."""
    printed = running.shell.run("dashboard", "--print")
    assert printed.process.returncode == 0, printed
    address, _, token = printed.said.strip().partition("/signin#")
    return address, token


def test_the_printed_link_signs_in_once(running: Running) -> None:
    address, token = link_of(running)
    origin = {"origin": address}
    with httpx.Client(base_url=address, headers=origin, trust_env=False) as client:
        key = client.post("/signin", json={"token": token}).json()["key"]
        key_header = {"x-neurolink-key": key}
        assert client.get("/parts/pool", headers=key_header).status_code == 200
        assert (
            httpx.post(f"{address}/signin", json={"token": token}, headers=origin).status_code
            == 401
        )
        assert client.get("/parts/pool", headers=key_header).status_code == 401


def test_the_token_is_written_nowhere(running: Running) -> None:
    _, token = link_of(running)
    for path in running.shell.place.rglob("*"):
        if path.is_file() and path.suffix != ".out":
            assert token.encode() not in path.read_bytes(), path
    assert token not in running.program.said
    assert token not in httpx.get(f"{running.url}/status").text


def test_everybody_says_where_it_is_and_nobody_how_to_get_in(running: Running) -> None:
    address, _ = link_of(running)
    assert f"dashboard`, which opens {address}\n" in running.program.said
    assert httpx.get(running.url).json()["dashboard"] == address
    assert httpx.get(f"{running.url}/status").json()["dashboard"] == {
        "url": address,
        "readOnly": False,
    }
    assert f"dashboard: {address} (" in running.shell.run("proxy", "status").said


@pytest.fixture
def browser(running: Running, tmp_path: Path) -> Iterator[Path]:
    """What a browser that the variable names was asked to open."""
    opened, program = tmp_path / "opened", tmp_path / "browser.py"
    program.write_text(f"import sys\nopen({str(opened)!r}, 'w').write(sys.argv[1])\n")
    running.shell.variables["BROWSER"] = f"{sys.executable} {program} %s"
    yield opened
    running.shell.variables.clear()


def test_it_opens_the_browser(running: Running, browser: Path) -> None:
    address, _ = link_of(running)
    assert not browser.exists()
    ran = running.shell.run("dashboard")
    assert ran.said == "the dashboard opens in your browser\n"
    wait_until(browser.exists, "the browser is started")
    assert browser.read_text().startswith(f"{address}/signin#")


@pytest.mark.parametrize(
    "variables", [{}, {"DISPLAY": ":7", "SSH_CONNECTION": "10.0.0.1 22"}], ids=["none", "ssh"]
)
def test_without_a_browser_the_link_is_printed(
    running: Running, variables: Mapping[str, str]
) -> None:
    running.shell.variables.update(variables)
    try:
        assert "/signin#" in running.shell.run("dashboard").said
    finally:
        running.shell.variables.clear()


def test_no_proxy_runs() -> None:
    ended = neurolink("dashboard")
    assert ended.exit_code == 3
    assert "start it with: neurolink proxy start" in ended.stderr


def test_the_dashboard_is_off(shell: Shell) -> None:
    shell.write("proxy-config.yaml", "version: 1\ndashboard: {enabled: false}\n")
    proxy, url = shell.serve("--sandbox")
    ended = shell.run("dashboard")
    assert ended.process.returncode == 1
    assert ended.complained == "neurolink: the dashboard is off: dashboard.enabled\n"
    assert "Dashboard:" not in proxy.said
    assert httpx.get(f"{url}/status").json()["dashboard"] is None


@contextmanager
def answering(document: object) -> Iterator[tuple[ProxyState, list[str]]]:
    """Another program where the proxy was, which answers all with this; and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        place = {"port": server.server_address[1], "host": "127.0.0.1"}
        state = ProxyState(**{**place, "pid": 1, "pid_started": 0, "strategy": "", "start_time": 0})
        yield state, asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("document", "error", "paths"),
    [
        ({"version": "0.1.0", "status": "/status"}, "is older (0.1.0): restart it", ["/"]),
        ({"dashboard": None, "error": "odd"}, "does not answer", ["/", "/admin/dashboard-link"]),
        ([], "is older", ["/"]),
    ],
    ids=["older", "odd", "other"],
)  # fmt: skip
def test_what_has_no_dashboard(
    document: object, error: str, paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An older proxy would send our question upstream, so it is not asked."""
    with answering(document) as (state, asked), pytest.raises(SystemExit) as end:
        new_link(state)
    assert end.value.code == 1
    assert error in capsys.readouterr().err
    assert [path.partition("?")[0] for path in asked] == paths
