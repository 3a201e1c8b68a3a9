"""The ConfigMaps of the Kubernetes manifests, which hold the very files that Compose mounts.

`python -m tests.deploy.config_maps > deploy/kubernetes/configuration.yaml` writes them.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

DEPLOY = Path(__file__).parents[2] / "deploy"
FILES = {"neurolink": "config/proxy-config.yaml", "balancer": "haproxy.cfg"}
"""By the name of the ConfigMap."""
HEAD = "# made of the files in deploy/ by python -m tests.deploy.config_maps\n"


def config_maps() -> str:
    return HEAD + "---\n".join(_config_map(name, DEPLOY / file) for name, file in FILES.items())


def _config_map(name: str, path: Path) -> str:
    content = indent(path.read_text(), "    ")
    return (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n"
        f"  name: {name}\n  namespace: neurolink\ndata:\n  {path.name}: |\n{content}"
    )


if __name__ == "__main__":
    print(config_maps(), end="")
