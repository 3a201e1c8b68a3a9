"""The Kubernetes manifests: as the schemas of Kubernetes want them, and at one with themselves and the product."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions

from neurolink_mitm.cli.proxy import start
from neurolink_mitm.core.request.routing import OWN
from tests.deploy.config_maps import DEPLOY, config_maps

VERSIONS = [version for version in all_versions() if version >= "1.29"]
Manifest = dict[str, Any]


def read() -> list[Manifest]:
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


MANIFESTS = read()


def name_of(manifest: Manifest) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


def of_kind(kind: str) -> list[Manifest]:
    return [each for each in MANIFESTS if each["kind"] == kind]


def containers() -> Iterator[tuple[Manifest, Manifest]]:
    """Yield each container with its pod's specification."""
    for deployment in of_kind("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            yield container, pod


REPLICA, REPLICA_POD = next(each for each in containers() if each[0]["name"] == "neurolink")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=name_of)
def test_the_schemas_of_kubernetes_take_it(manifest: Manifest) -> None:
    for version in VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_there_are_versions_to_hold_them_against() -> None:
    assert len(VERSIONS) > 5


def test_all_is_in_one_namespace_that_is_made_first() -> None:
    assert name_of(MANIFESTS[0]) == "Namespace-neurolink"
    assert {each["metadata"]["namespace"] for each in MANIFESTS[1:]} == {"neurolink"}
    assert len({name_of(each) for each in MANIFESTS}) == len(MANIFESTS)


def selectors() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each choice of pods by labels, with who makes it."""
    for each in MANIFESTS:
        spec = each.get("spec", {})
        if each["kind"] == "Service":
            yield name_of(each), spec["selector"]
        elif each["kind"] in ("Deployment", "PodDisruptionBudget"):
            yield name_of(each), spec["selector"]["matchLabels"]
        elif each["kind"] == "NetworkPolicy":
            yield name_of(each), spec["podSelector"]["matchLabels"]
            for rule in spec["ingress"]:
                for origin in rule["from"]:
                    yield f"{name_of(each)}-from", origin["podSelector"]["matchLabels"]
    for deployment in of_kind("Deployment"):
        for spread in deployment["spec"]["template"]["spec"].get("topologySpreadConstraints", ()):
            yield f"spread-{name_of(deployment)}", spread["labelSelector"]["matchLabels"]


@pytest.mark.parametrize(("chooser", "labels"), list(selectors()))
def test_it_chooses_the_pods_of_one_deployment(chooser: str, labels: dict[str, str]) -> None:
    chosen = [
        each["metadata"]["name"]
        for each in of_kind("Deployment")
        if labels.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert len(chosen) == 1


def test_ports_are_those_of_containers() -> None:
    """By name, in Services, probes and policies."""
    for service in of_kind("Service"):
        pods = [
            each["spec"]["template"]
            for each in of_kind("Deployment")
            if service["spec"]["selector"].items()
            <= each["spec"]["template"]["metadata"]["labels"].items()
        ]
        named = {p["name"] for pod in pods for c in pod["spec"]["containers"] for p in c["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    for container, _ in containers():
        named = {port["name"] for port in container.get("ports", [{"name": ""}])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            check = container.get(probe, {})
            for how in ("httpGet", "tcpSocket"):
                assert check.get(how, {"port": min(named)})["port"] in named


@pytest.mark.parametrize(
    ("probe", "path"),
    [("startupProbe", "/health"), ("readinessProbe", "/ready"), ("livenessProbe", "/health")],
)
def test_the_product_has_the_paths_of_probes(probe: str, path: str) -> None:
    assert REPLICA[probe]["httpGet"]["path"] == path
    assert path in OWN


def test_the_product_has_the_options() -> None:
    arguments = REPLICA["args"]
    options = {name for parameter in start.params for name in parameter.opts}
    assert arguments[:2] == ["proxy", "start"]
    assert {each for each in arguments if each.startswith("--")} <= options
    port = int(arguments[arguments.index("--port") + 1])
    assert [each["containerPort"] for each in REPLICA["ports"]] == [port]


def test_variables_are_read_by_somebody() -> None:
    """By the product, or by what the configuration interpolates."""
    sources = [*(DEPLOY.parent / "neurolink_mitm").rglob("*.py")]
    product = {name for each in sources for name in re.findall(r"NEUROLINK_\w+", each.read_text())}
    files = (DEPLOY / "config" / "proxy-config.yaml", DEPLOY / "haproxy.cfg")
    configured = {name for each in files for name in re.findall(r"\$\{(\w+)", each.read_text())}
    used = {
        variable["name"] for container, _ in containers() for variable in container.get("env", ())
    }
    assert used - product - configured == set()


def test_volumes_are_there_and_what_is_named_is_below_one() -> None:
    for container, pod in containers():
        volumes = {each["name"] for each in pod["volumes"]}
        mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        init = container in pod.get("initContainers", ())
        assert mounts.keys() <= volumes if init else mounts.keys() == volumes
    values = [each["value"] for each in REPLICA["env"]] + REPLICA["args"]
    paths = [value for value in values if value.startswith("/")]
    mounts = {each["mountPath"] for each in REPLICA["volumeMounts"]}
    assert len(paths) == 3
    assert all(any(path.startswith(f"{mount}/") for mount in mounts) for path in paths)


def test_no_manifest_holds_a_secret() -> None:
    """They are made by hand, and mounted; the files in them are those that are named."""
    assert of_kind("Secret") == []
    [secret] = [each["secret"] for each in REPLICA_POD["volumes"] if "secret" in each]
    [mount] = [each for each in REPLICA["volumeMounts"] if each["name"] == "secrets"]
    mounted = {f"{mount['mountPath']}/{item['path']}" for item in secret["items"]}
    named = {each["value"] for each in REPLICA["env"]}
    assert {value for value in named if value.startswith(mount["mountPath"])} == mounted
    assert secret["defaultMode"] & 0o007 == 0


def test_config_maps_hold_the_files_of_deploy() -> None:
    assert (DEPLOY / "kubernetes" / "configuration.yaml").read_text() == config_maps(), (
        "run: .venv/bin/python -m tests.deploy.config_maps > deploy/kubernetes/configuration.yaml"
    )
    named = {
        volume["configMap"]["name"]
        for _, pod in containers()
        for volume in pod["volumes"]
        if "configMap" in volume
    }
    assert named == {each["metadata"]["name"] for each in of_kind("ConfigMap")}


@pytest.mark.parametrize(("container", "pod"), list(containers()))
def test_it_may_do_nothing_that_it_needs_not(container: Manifest, pod: Manifest) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert container["resources"]["limits"].keys() >= {"cpu", "memory"}


def test_the_image_runs_as_the_user_that_owns_its_home() -> None:
    containerfile = (DEPLOY / "Containerfile").read_text()
    assert re.findall(r"^USER (\d+):(\d+)$", containerfile, re.MULTILINE) == [
        (
            str(REPLICA_POD["securityContext"]["runAsUser"]),
            str(REPLICA_POD["securityContext"]["runAsGroup"]),
        )
    ]


def test_a_pod_may_drain_before_it_is_killed() -> None:
    drain = yaml.safe_load((DEPLOY / "config" / "proxy-config.yaml").read_text())["timeouts"][
        "drain"
    ]
    assert REPLICA_POD["terminationGracePeriodSeconds"] >= drain + 10


def test_haproxy_finds_the_replicas() -> None:
    [balancer] = [container for container, _ in containers() if container["name"] == "haproxy"]
    variables = {each["name"]: each["value"] for each in balancer["env"]}
    host, _, port = variables["NEUROLINK_SERVICE"].partition(":")
    [service] = [
        each for each in of_kind("Service") if each["metadata"]["name"] == host.partition(".")[0]
    ]
    assert host == f"{service['metadata']['name']}.neurolink.svc.cluster.local"
    assert service["spec"]["clusterIP"] == "None"
    assert [each["port"] for each in service["spec"]["ports"]] == [int(port)]


def test_no_replica_is_evicted_with_another() -> None:
    budgets = {each["metadata"]["name"]: each["spec"] for each in of_kind("PodDisruptionBudget")}
    assert budgets["neurolink"]["maxUnavailable"] == 1
