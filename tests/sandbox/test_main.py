"""`python -m neurolink_mitm.sandbox`, as a process."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.sandbox.asking import BY_KEY, KEY, message

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run() -> Iterator[Run]:
    started = []

    def run(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "neurolink_mitm.sandbox", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_stop(run: Run, number: int) -> None:
    process = run("--port", "0")
    url = first_line(process)
    assert httpx.head(url).status_code == 200
    process.send_signal(number)
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0


def test_accounts_are_read_from_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "accounts.yaml"
    file.write_text(json.dumps([{"name": "a", "credential": KEY, "script": [{"status": 529}]}]))
    url = first_line(run("--accounts", str(file)))
    response = httpx.post(f"{url}/v1/messages", json=message(), headers=BY_KEY)
    assert response.status_code == 529


def test_a_faulty_file_is_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "accounts.yaml"
    file.write_text('[{"name": "a", "key": "k"}]')
    process = run("--accounts", str(file))
    _, error = process.communicate(timeout=10)
    assert (process.returncode, error) == (2, f"{file}: Account has no field key\n")


def test_a_port_that_is_taken_is_one_clear_line(run: Run) -> None:
    port = first_line(run()).rpartition(":")[2]
    process = run("--port", port)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 1
    assert error.startswith(f"can't serve on 127.0.0.1:{port}: ")
    assert error.count("\n") == 1
