"""That the look for secrets at the end of a run would find them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import httpx
import pytest

from neurolink_mitm.sandbox.server import SandboxServer
from neurolink_mitm.sandbox.tokens import s256
from tests.leaks import Leaks, listen_to_logins

VERIFIER = "v" * 64
HOOKS = (
    "_no_secret_is_left, pytest_runtest_logreport, pytest_sessionfinish, pytest_terminal_summary"
)
pytest_plugins = ("pytester",)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """What is left there is not found by the run that this is a test of."""
    yield tmp_path
    rmtree(tmp_path)


@pytest.mark.parametrize(
    "secret",
    ["sk-ant-test-a", "sk-ant-oat-test-a", "sk-ant-ort-test-a-2", "sk-client-test", "hunter2"],
)
def test_keys_and_tokens_are_found(secret: str) -> None:
    leaks = Leaks()
    leaks.look_at("log", f"account {secret} is limited".encode())
    assert leaks.found == ["log, at byte 8"]


@pytest.mark.parametrize("said", ["sk-ant-***", "starts with sk-ant-oat", "a sk-client", "x" * 64])
def test_what_is_no_secret_is_not_found(said: str) -> None:
    leaks = Leaks()
    leaks.look_at("log", said.encode())
    assert leaks.found == []


def test_codes_and_verifiers_of_logins_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    leaks = Leaks()
    listen_to_logins(leaks, monkeypatch)
    asked = {"client_id": "c", "redirect_uri": "https://x.example.com/"}
    with SandboxServer() as sandbox:
        desk = sandbox.state.tokens
        gamma = sandbox.state.account("gamma")
        code = desk.authorize(gamma, s256(VERIFIER), *asked.values())
        grant = {"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER}
        answer = httpx.post(f"{sandbox.url}/v1/oauth/token", json=asked | grant)
    assert answer.status_code == 200
    leaks.look_at("code", f"GET /callback?code={code}&state=x".encode())
    leaks.look_at("verifier", f'{{"code_verifier":"{VERIFIER}"}}'.encode())
    assert leaks.found == ["code, at byte 19", "verifier, at byte 18"]


def test_files_are_looked_through_but_those_that_secrets_are_kept_in(place: Path) -> None:
    secret = b"sk-ant-test-a"
    for name in ("tokens.json", ".tokens.json.x.tmp", "proxy-config.yaml", ".env", "logs"):
        (place / name).write_bytes(secret)
    (place / "home" / "bodies").mkdir(parents=True)
    (place / "home" / "proxy.jsonl").write_bytes(b"-" * 5 + secret)
    (place / "home" / "bodies" / "1.json.gz").write_bytes(gzip.compress(b"{" + secret))
    leaks = Leaks()
    leaks.look_below(place)
    assert sorted(leaks.found) == [
        "home/bodies/1.json.gz, at byte 1",
        "home/proxy.jsonl, at byte 5",
        "logs, at byte 0",
    ]


LEAVING = """
import logging
def test_file(tmp_path): (tmp_path / 'x.log').write_text('a hunter2')
def test_output(): print('a hunter2')
def test_log(): logging.warning('hunter2')
"""


def test_a_run_that_leaves_one_fails(pytester: pytest.Pytester) -> None:
    """With our own conftest; the secret itself is not shown."""
    pytester.makeconftest(f"from tests.conftest import {HOOKS}\n")
    pytester.makepyfile(test_it=LEAVING)
    pytester.makeini(f"[pytest]\npythonpath = {Path(__file__).parents[1]}\n")
    result = pytester.runpytest_subprocess("-p", "no:randomly", "-p", "no:cacheprovider")
    rmtree(pytester.path)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=3)
    said = result.stdout.str()
    assert "secrets were written down" in said
    assert "test_file0/x.log, at byte 2" in said
    assert "test_it.py::test_output: Captured stdout call, at byte 2" in said
    assert "test_it.py::test_log: Captured log call, at byte" in said
    assert "hunter2" not in said
