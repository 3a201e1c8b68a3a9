"""`neurolink proxy replay`."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.cli.processes import MESSAGE, Shell
from tests.cli.ui.test_running import neurolink


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["-s", "fill-first"], 1), (["-s", "nonsense"], 2), ([], 2)],
    ids=["no-attempts", "unknown-strategy", "no-strategy"],
)
def test_replay_refuses(tmp_path: Path, arguments: list[str], code: int) -> None:
    file = tmp_path / "proxy-attempts-2026-11-22.jsonl"
    file.write_text("{\n")
    ended = neurolink("proxy", "replay", str(file), *arguments)
    assert ended.exit_code == code
    assert "Traceback" not in ended.output


def test_replay_of_what_was_written(shell: Shell, tmp_path: Path) -> None:
    proxy, url = shell.serve("--sandbox")
    for _ in range(3):
        assert httpx.post(f"{url}/v1/messages", json=MESSAGE).status_code == 200
    proxy.signal()
    assert proxy.exit_code() == 0
    [log] = (shell.state.parent / "logs").glob("proxy-attempts-*.jsonl")
    ended = neurolink("proxy", "replay", str(log), "-s", "round-robin", "--format", "json")
    assert ended.exit_code == 0
    report = json.loads(ended.stdout)
    assert report["recorded"]["served"] == {"alpha": 2, "beta": 1}
    assert report["recorded"]["rateLimits"] == 1
    assert report["round-robin"]["requests"] == 3
