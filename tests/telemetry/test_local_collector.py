"""What is shipped for docker. tests/cli/proxy/test_telemetry.py writes and reads it."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neurolink_mitm.telemetry.local_collector import (
    Access,
    Compose,
    ComposeError,
    TelemetryFiles,
    new_password,
)


@pytest.fixture
def files(tmp_path: Path) -> TelemetryFiles:
    return TelemetryFiles(tmp_path / "telemetry")


def test_nothing_is_there_before(files: TelemetryFiles) -> None:
    assert files.read() is None


def test_what_is_written_is_read(files: TelemetryFiles) -> None:
    made = files.write(1234, 5678)
    assert files.read() == made
    assert (made.url, made.endpoint) == ("http://127.0.0.1:1234", "http://127.0.0.1:5678")


def test_the_collector_has_the_same_login(files: TelemetryFiles) -> None:
    made = files.write(1234, 5678)
    auth = re.search(r"^OPENOBSERVE_AUTH=(.*)$", files.access.read_text(), re.MULTILINE)
    assert auth
    assert base64.b64decode(auth[1]).decode() == f"{made.user}:{made.password.reveal()}"


def test_the_password_stays(files: TelemetryFiles) -> None:
    assert files.write(1, 2).password == files.write(3, 4).password


def test_passwords_differ_and_need_no_quotes() -> None:
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{36,}", each) for each in made)


def test_no_password_is_shown(files: TelemetryFiles) -> None:
    made = files.write(1, 2)
    assert made.password.reveal() not in repr(made)


LOGIN = "OPENOBSERVE_USER=a\nOPENOBSERVE_PASSWORD=b\n"


@pytest.mark.parametrize(
    "text",
    ["", "OPENOBSERVE_USER=a\n", "\x00", LOGIN, f"{LOGIN}OPENOBSERVE_PORT=x\nOTLP_PORT=1\n"],
    ids=["empty", "no-password", "zero", "no-ports", "odd-port"],
)
def test_a_damaged_file_is_told(files: TelemetryFiles, text: str) -> None:
    files.write(1, 2)
    files.access.write_text(text)
    with pytest.raises(ValueError, match="is damaged"):
        files.read()


# --- what is shipped


def shipped(name: str) -> dict[str, object]:
    document = yaml.safe_load((TelemetryFiles(Path("x")).shipped / name).read_text())
    assert isinstance(document, dict)
    return document


def test_all_ports_are_on_loopback() -> None:
    services = shipped("compose.yaml")["services"]
    assert isinstance(services, dict)
    ports = [port for service in services.values() for port in service["ports"]]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_images_are_pinned() -> None:
    services = shipped("compose.yaml")["services"]
    assert isinstance(services, dict)
    tags = [service["image"].rpartition(":")[2] for service in services.values()]
    assert all(re.fullmatch(r"v?\d+\.\d+\.\d+", tag) for tag in tags), tags


def test_no_password_has_a_default() -> None:
    text = (TelemetryFiles(Path("x")).shipped / "compose.yaml").read_text()
    named = re.findall(r"\$\{(OPENOBSERVE_(?:USER|PASSWORD|AUTH)):(.)", text)
    assert named == [("OPENOBSERVE_USER", "?"), ("OPENOBSERVE_PASSWORD", "?"), ("OPENOBSERVE_AUTH", "?")]  # fmt: skip


def test_the_collector_hands_on_all_three() -> None:
    service = shipped("collector.yaml")["service"]
    assert isinstance(service, dict)
    assert set(service["pipelines"]) == {"traces", "metrics", "logs"}


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="check-jsonschema can't be installed beside mitmproxy 11"
)
def test_the_compose_file_is_as_its_specification_says() -> None:
    checker = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [sys.executable, "-m", *checker, TelemetryFiles(Path("x")).shipped / "compose.yaml"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "ok -- validation done"), done.stdout


@pytest.mark.real("docker")
def test_docker_compose_takes_them(files: TelemetryFiles) -> None:
    """With its compose plugin."""
    made: Access = files.write(15080, 14318)
    compose = Compose(files.compose, files.access, os.environ)
    try:
        compose.check()
    except ComposeError as e:
        pytest.skip(str(e))
    docker = shutil.which("docker")
    assert docker
    done = subprocess.run(
        [docker, "compose", "--file", files.compose, "--env-file", files.access, "config"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = yaml.safe_load(done.stdout)["services"]["openobserve"]["environment"]
    assert seen["ZO_ROOT_USER_PASSWORD"] == made.password.reveal()
