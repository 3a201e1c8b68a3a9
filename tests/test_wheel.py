"""The wheel, installed elsewhere, works by itself: nothing of it reads the checkout."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import httpx
import pytest

from neurolink_mitm.sandbox import Account
from neurolink_mitm.sandbox.server import SandboxServer
from tests import claude_cli as claude_code
from tests.cli.processes import MESSAGE, ROOT, Shell

TOO_LONG = 120.0
"""Seconds for pip or the build, on a machine that is busy with other things."""


def run(*command: str | Path) -> None:
    """A tool, to its end; shows what it said where it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TOO_LONG, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    [wheel] = out.iterdir()
    return wheel


@pytest.fixture(scope="module")
def bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are of an environment with the wheel and, borrowed, what it depends on.

    To install all of that anew takes a minute. A .pth file names a directory to look in after its
    own; .pth files in there, such as that of an editable install, are not followed.
    """
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel
    )
    names = {"base": str(place), "platbase": str(place)}
    own = Path(sysconfig.get_path("purelib", "venv", vars=names))
    borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    (own / "borrowed.pth").write_text("\n".join(borrowed))
    return place / "bin"


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    parts = {name.partition("/")[0] for name in names}
    assert {part.partition("-")[0] for part in parts} == {"neurolink_mitm"}
    assert [name for name in names if "__pycache__" in name] == []
    assert "neurolink_mitm/stack.py" in names
    assert "neurolink_mitm/config/proxy-config.schema.json" in names
    assert {"neurolink_mitm/stack.py", "neurolink_mitm/config/starter.yaml"} <= set(names)
    assert len(names) == len(set(names))


def test_it_holds_what_the_dashboard_shows(wheel: Path) -> None:
    """Templates, styles, scripts, and the licences of those that are not ours."""
    place = ROOT / "neurolink_mitm" / "dashboard"
    files = {*(place / "templates").rglob("*.html"), *(place / "static").iterdir()}
    with zipfile.ZipFile(wheel) as archive:
        missing = {str(path.relative_to(ROOT)) for path in files} - {*archive.namelist()}
    assert missing == set()


def test_it_holds_the_pages(wheel: Path) -> None:
    """All of them, as they are in the checkout."""
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"]
    with zipfile.ZipFile(wheel) as archive:
        held = {page: archive.read(f"neurolink_mitm/docs/{page.name}") for page in pages}
    assert [page.name for page in pages if held[page] != page.read_bytes()] == []


def test_its_description_leads_into_the_repository(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    urls = dict(each.split(", ") for each in metadata.get_all("Project-URL") or ())
    assert urls.keys() == {"Repository", "Documentation", "Changelog", "Issues"}
    text = str(metadata.get_payload())
    assert f"]({urls['Repository']}/blob/main/docs/accounts.md)" in text
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", text) == []


@pytest.mark.timeout(3 * TOO_LONG)
def test_it_runs_by_itself(bin: Path, shell: Shell) -> None:
    shell.variables["PYTHONPATH"] = ""
    where = "import neurolink_mitm; print(neurolink_mitm.__file__)"
    imported = Path(shell.run("-c", where, program=(str(bin / "python"),)).said.strip())
    assert bin.parent in imported.parents

    neurolink = (str(bin / "neurolink"),)
    proxy = shell.start("proxy", "start", "--sandbox", "--port", "0", program=neurolink)
    url = proxy.expect(r"export ANTHROPIC_BASE_URL=(\S+)\n")[1]
    with httpx.stream("POST", f"{url}/v1/messages", json=MESSAGE, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.read().endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert shell.run("proxy", "status", program=neurolink).process.returncode == 0
    page = shell.run("docs", "troubleshooting", program=neurolink)
    assert page.said == (ROOT / "docs" / "troubleshooting.md").read_text()
    stopped = shell.run("proxy", "stop", program=neurolink)
    assert (stopped.process.returncode, proxy.exit_code()) == (0, 0)


def tree(home: Path) -> dict[str, tuple[int, bytes]]:
    """All that is in there: modes, and what files hold."""
    return {
        str(each.relative_to(home)): (
            each.stat().st_mode,
            b"" if each.is_dir() else each.read_bytes(),
        )
        for each in home.rglob("*")
    }


@pytest.mark.real("npm")
@pytest.mark.timeout(10 * TOO_LONG)
def test_set_up_in_one_command_and_gone_in_another(bin: Path, shell: Shell) -> None:
    """With the real Claude Code in between, which runs in a copy of the home: it keeps files of its own."""
    claude = claude_code.installed()
    settings = shell.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_bytes(b'{\r\n    "cleanupPeriodDays" : 30\r\n}')
    settings.chmod(0o640)
    before = tree(shell.home)

    with socket.create_server(("127.0.0.1", 0)) as found:
        port = str(found.getsockname()[1])
    shell.variables |= {"PYTHONPATH": "", "ANTHROPIC_API_KEY": "sk-ant-test-a"}
    neurolink = (str(bin / "neurolink"),)
    with SandboxServer([Account("a", "sk-ant-test-a")]) as upstream:
        config = shell.place / "proxy.yaml"
        config.write_text(f"version: 1\ndefaultBaseUrl: {upstream.url}\n")
        options = ("--no-service", "--port", port, "--config", str(config))
        made = shell.run("proxy", "setup", *options, program=neurolink)
        assert made.process.returncode == 0, str(made)
        assert made.said.count("[ok]") == 5

        copy = shell.place / "copy"
        shutil.copytree(shell.home, copy)
        done = claude_code.say_hi(claude, copy)
        assert done.returncode == 0, done.stdout + done.stderr
        agents = [each.header("user-agent") or "" for each in upstream.requests]
        assert any(agent.startswith("claude-cli/") for agent in agents), agents

        gone = shell.run("proxy", "uninstall", "--purge", "--yes", program=neurolink)
        assert gone.process.returncode == 0, str(gone)
    assert tree(shell.home) == before
