"""`neurolink notify test`."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from neurolink_mitm.cli import main
from tests.notices.receiver import Receiver, status


@pytest.fixture
def config(home: Path) -> Path:
    path = home / ".neurolink" / "proxy-config.yaml"
    path.parent.mkdir(exist_ok=True)
    return path


def write(path: Path, **notify: Any) -> None:
    path.write_text(yaml.safe_dump({"notify": notify}))


def notify_test(*arguments: str) -> Result:
    result = CliRunner().invoke(main, ["notify", "test", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_each_channel_gets_the_event_whatever_is_quiet(config: Path) -> None:
    script = config.with_name("tell")
    script.write_text('#!/bin/sh\ncat > "$0.json"\n')
    script.chmod(stat.S_IRWXU)
    with Receiver(status(200)) as receiver:
        write(
            config, webhook=receiver.url, secret="hunter2", command=[str(script)], quiet="00:00-23:59", on=[]
        )  # fmt: skip
        tried = notify_test()
        [event] = receiver.events
    assert tried.exit_code == 0
    lines = tried.stdout.splitlines()
    assert [line.split(" (")[0] for line in lines] == [
        "webhook  ok      HTTP 200",
        "command  ok      exit code 0",
    ]
    assert event["event"] == "test"
    assert json.loads(Path(f"{script}.json").read_text()) == event


def test_one_that_fails_is_said_with_exit_code_1(config: Path) -> None:
    with Receiver(status(404)) as receiver:
        write(config, webhook=receiver.url, secret="hunter2", command=["/no/such/program"])
        tried = notify_test("--format", "json")
    assert tried.exit_code == 1
    report = json.loads(tried.stdout)
    assert report["ok"] is False
    assert [(each["channel"], each["ok"], each["status"]) for each in report["channels"]] == [
        ("webhook", False, "127.0.0.1: HTTP 404"),
        ("command", False, "program can't be run: No such file or directory"),
    ]
    assert all(each["durationMs"] >= 0 for each in report["channels"])
    assert "hunter2" not in tried.output


@pytest.mark.parametrize("arguments", [(), ("--channel", "webhook")], ids=["all", "one"])
def test_without_a_channel_there_is_nothing_to_try(
    config: Path, arguments: tuple[str, ...]
) -> None:
    tried = notify_test(*arguments)
    assert tried.exit_code == 2
    assert "there is no channel to try: " in tried.stderr


def test_one_channel_alone(config: Path) -> None:
    write(config, desktop=True, command=["true"])
    assert notify_test("--channel", "command").stdout.startswith("command  ok")


def test_a_bad_configuration_is_said(config: Path) -> None:
    write(config, webhook="https://hooks.example/x")
    tried = notify_test()
    assert tried.exit_code == 2
    assert "notify.secret: is required where there is a webhook" in tried.stderr
