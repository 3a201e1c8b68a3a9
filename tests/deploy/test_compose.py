"""The Compose file: as its specification wants it, and at one with the image, HAProxy's file and the product."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from neurolink_mitm.adapters.home import Home
from neurolink_mitm.config.check import check
from tests.cluster.redis_server import RedisServer
from tests.deploy.config_maps import DEPLOY

FILE = DEPLOY / "compose.yaml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
REPLICAS = {name: each for name, each in SERVICES.items() if name.startswith("replica-")}
CONFIGURATION = DEPLOY / "config" / "proxy-config.yaml"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What `make-secrets` makes."""
    folder = tmp_path / "secrets"
    subprocess.run([DEPLOY / "make-secrets", folder], check=True, capture_output=True, timeout=20)
    return folder


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="check-jsonschema can't be installed beside mitmproxy 11"
)
def test_it_is_as_the_specification_says() -> None:
    checker = ["check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    done = subprocess.run(
        [sys.executable, "-m", *checker], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.real("docker")
def test_docker_compose_takes_it(secrets: Path) -> None:
    docker = str(shutil.which("docker"))
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker has no compose plugin")
    subprocess.run([docker, "compose", "-f", FILE, "config", "--quiet"], check=True, timeout=60)


@pytest.mark.parametrize("name", SERVICES)
def test_it_may_do_nothing_that_it_needs_not(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert "privileged" not in service


def test_callers_reach_the_balancer_only() -> None:
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["balancer"]
    assert SERVICES["balancer"]["ports"] == ["${NEUROLINK_PUBLISH:-127.0.0.1:8080}:8080"]


def test_redis_is_where_only_replicas_are() -> None:
    assert SERVICES["redis"]["networks"] == ["store"]
    assert COMPOSE["networks"]["store"]["internal"] is True
    inside = {name for name, each in SERVICES.items() if "store" in each["networks"]}
    assert inside == {*REPLICAS, "redis"}


def test_there_are_three_replicas_each_with_a_home_of_its_own() -> None:
    homes = {volume for each in REPLICAS.values() for volume in each["volumes"]}
    assert homes == {
        "./config:/etc/neurolink:ro",
        *(f"{name}:/var/lib/neurolink" for name in REPLICAS),
    }
    assert len(REPLICAS) == 3
    assert COMPOSE["volumes"].keys() == {*REPLICAS, "redis"}
    assert {each["hostname"] for each in REPLICAS.values()} == REPLICAS.keys()


def test_haproxy_knows_them() -> None:
    text = (DEPLOY / "haproxy.cfg").read_text()
    servers = dict(re.findall(r'server (\S+) "\$\{NEUROLINK_REPLICA_\d-(\S+)\}"', text))
    ports = {name: each["command"][each["command"].index("--port") + 1] for name, each in REPLICAS.items()}  # fmt: skip
    assert servers == {name: f"{name}:{port}" for name, port in ports.items()}


def test_what_is_stopped_may_drain_before_it_is_killed() -> None:
    drain = yaml.safe_load(CONFIGURATION.read_text())["timeouts"]["drain"]
    graces = {
        int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
        for name in (*REPLICAS, "balancer")
    }
    assert min(graces) >= drain + 10


def test_secrets_are_what_make_secrets_makes(secrets: Path) -> None:
    """Nobody but their owner reads them, and those that are there stay."""
    declared = {each["file"].removeprefix("./secrets/") for each in COMPOSE["secrets"].values()}
    assert {each.name for each in secrets.iterdir()} == declared
    assert {stat.S_IMODE(each.stat().st_mode) for each in secrets.iterdir()} == {0o400}
    mounted = {name for each in SERVICES.values() for name in each.get("secrets", ())}
    assert mounted == COMPOSE["secrets"].keys()
    before = {each.name: each.read_bytes() for each in secrets.iterdir()}
    subprocess.run([DEPLOY / "make-secrets", secrets], check=True, capture_output=True, timeout=20)
    assert {each.name: each.read_bytes() for each in secrets.iterdir()} == before


@pytest.mark.parametrize("lost", ["redis.conf", "neurolink.env"])
def test_a_secret_that_is_lost_is_made_to_fit_the_other(lost: str, secrets: Path) -> None:
    (secrets / lost).unlink()
    subprocess.run([DEPLOY / "make-secrets", secrets], check=True, capture_output=True, timeout=20)
    assert password(secrets / "redis.conf") == password(secrets / "neurolink.env")


def password(path: Path) -> str:
    [found] = re.findall(r"^(?:requirepass |REDIS_PASSWORD=)(\S{32,})$", path.read_text(), re.M)
    return str(found)


def test_the_configuration_is_good(secrets: Path, tmp_path: Path) -> None:
    variables = {"NEUROLINK_CLUSTER_KEY": str(secrets / "cluster.key")}
    home = Home(tmp_path / "home")
    inputs, faults = check(variables, home, CONFIGURATION, secrets / "neurolink.env")
    assert not faults
    assert inputs
    assert inputs.config.cluster
    assert inputs.config.cluster.url.reveal() == (
        f"redis://:{password(secrets / 'redis.conf')}@redis:6379/0"
    )
    assert inputs.config.clients.api_keys
    assert inputs.config.listen.hosts == ("localhost",)


@pytest.mark.real("redis")
def test_redis_takes_its_command(secrets: Path, tmp_path: Path) -> None:
    """Also without an account of its own: what it writes is in its volume."""
    command: list[str] = SERVICES["redis"]["command"]
    options = [str(secrets / "redis.conf"), *command[2:]]
    program = shutil.which("redis-server")
    assert command[:2] == ["valkey-server", "/run/secrets/redis.conf"]
    assert program
    options[options.index("/data")] = str(tmp_path)
    server = RedisServer(tmp_path)
    with subprocess.Popen(
        [program, *options, "--port", str(server.port), "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
    ) as process:
        try:
            check = [*SERVICES["redis"]["healthcheck"]["test"][1:]]
            script = check[0].replace("valkey-cli", f"redis-cli -p {server.port}")
            until = f"for n in $(seq 200); do {script} && exit 0; sleep 0.05; done; exit 1"
            subprocess.run(["sh", "-c", until], check=True, timeout=30)
            client = ["redis-cli", "-p", str(server.port), "-a", password(secrets / "redis.conf")]
            asked = subprocess.run(
                [*client, "config", "get", "maxmemory-policy"],
                check=True, capture_output=True, text=True, timeout=20,
            )  # fmt: skip
            assert asked.stdout.split() == ["maxmemory-policy", "noeviction"]
            assert (tmp_path / "appendonlydir").is_dir()
        finally:
            process.kill()
