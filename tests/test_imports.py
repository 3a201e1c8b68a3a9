"""LiteLLM takes seconds and 180 MB to import, and blocks meanwhile: the proxy never does.

OpenTelemetry it imports only where there is a collector, and redis-py only in a cluster.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import httpx
import pytest

from tests.cli.processes import MESSAGE, ROOT, Shell

ALL_MODULES = """
import importlib, json, pkgutil, sys
import neurolink_mitm.cli.proxy.serve
proxy = sorted(sys.modules)
for found in pkgutil.walk_packages(neurolink_mitm.__path__, "neurolink_mitm."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
print(json.dumps({"proxy": proxy, "all": sorted(sys.modules)}))
"""


HEAVY = ("litellm", "opentelemetry", "google", "redis", "hiredis")
"""And what comes with them; `google` is protobuf's."""


@pytest.fixture(scope="module")
def modules() -> dict[str, list[str]]:
    """What a fresh process has imported: for the proxy, and once it has imported all there is."""
    done = subprocess.run(
        [sys.executable, "-c", ALL_MODULES], cwd=ROOT, capture_output=True, timeout=60, check=True
    )
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_no_module_imports_litellm(modules: dict[str, list[str]]) -> None:
    assert "neurolink_mitm.stack" in modules["proxy"]
    assert "neurolink_mitm.cli.sandbox" in modules["all"]
    for names in modules.values():
        assert [name for name in names if name.partition(".")[0] == "litellm"] == []


def test_the_proxy_starts_without_opentelemetry(modules: dict[str, list[str]]) -> None:
    assert "neurolink_mitm.telemetry.otlp" in modules["proxy"]
    assert [name for name in modules["proxy"] if name.partition(".")[0] == "opentelemetry"] == []


def test_the_proxy_starts_without_the_modules_of_a_cluster(modules: dict[str, list[str]]) -> None:
    of_cluster = ("redis", "hiredis", "neurolink_mitm.cluster", "neurolink_mitm.core.cluster")
    pattern = re.compile(rf"({'|'.join(map(re.escape, of_cluster))})(\.|\Z)")
    assert [name for name in modules["all"] if pattern.match(name)]
    assert [name for name in modules["proxy"] if pattern.match(name)] == []


def test_serving_imports_nothing_heavy(shell: Shell, tmp_path: Path) -> None:
    """Nor later, while a request fails over: in their places lie modules that tell when they are imported."""
    trap, trace = tmp_path / "trap", tmp_path / "imported"
    trap.mkdir()
    for name in HEAVY:
        (trap / f"{name}.py").write_text(f"open({str(trace)!r}, 'w').close()\nraise ImportError\n")
    shell.variables["PYTHONPATH"] = f"{trap}:{ROOT}"
    proxy, url = shell.serve("--sandbox")
    ask = f"{url}/v1/messages"
    answers = [httpx.post(ask, json=MESSAGE, timeout=20) for _ in range(3)]
    assert answers[-1].headers["x-neurolink-attempts"] == "2"
    proxy.signal()
    assert proxy.exit_code() == 0
    assert not trace.exists()


def test_the_trap_works(shell: Shell, tmp_path: Path) -> None:
    """Else the test before would prove nothing."""
    (tmp_path / "litellm.py").write_text("open('caught', 'w').close()\nraise ImportError\n")
    shell.variables["PYTHONPATH"] = str(tmp_path)
    code = "import contextlib\nwith contextlib.suppress(ImportError):\n    import litellm"
    shell.run("-c", code, program=(sys.executable,))
    assert (shell.home / "caught").exists()


def test_modules_import_one_another_in_one_direction() -> None:
    """Not even for types: where two need each other, one of them says by a Protocol what it needs."""
    graph = grimp.build_graph("neurolink_mitm")
    imports = {each: graph.find_modules_directly_imported_by(each) for each in graph.modules}
    TopologicalSorter(imports).prepare()  # raises a CycleError that names the circle
