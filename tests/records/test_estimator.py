from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.records.estimator import FailedError, Task, _encoded, estimate_in_process
from neurolink_mitm.records.replay_pool import Setting
from tests.fakes import NOW
from tests.records.test_replay import account


def task(logs: Path) -> Task:
    secret = replace(
        account("a"),
        secret=Secret("sk-ant-test-secret"),
        proxy_url="http://user:sk-ant-test-secret@proxy",
        metadata={"token": "sk-ant-test-secret"},
        excluded_models=("*opus*",),
        weight=2.5,
    )
    return Task(str(logs), NOW - 60, NOW, Setting((secret,), primary="a", cap=1.5))


def test_the_process_is_told_no_secrets(tmp_path: Path) -> None:
    text = _encoded(task(tmp_path))
    assert b"sk-ant" not in text
    arrived = msgspec.json.decode(text, type=Task, dec_hook=lambda kind, value: kind(value))
    (there,) = arrived.setting.accounts
    assert (there.label, there.weight, there.excluded_models) == ("a", 2.5, ("*opus*",))
    assert (arrived.setting.primary, arrived.setting.cap) == ("a", 1.5)


def test_who_needs_no_result_ends_it(tmp_path: Path) -> None:
    def stop(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        estimate_in_process(task(tmp_path), stop)


def test_it_says_why_it_has_failed(tmp_path: Path) -> None:
    (tmp_path / "proxy-2026-01-01.jsonl").mkdir()
    broken = msgspec.structs.replace(task(tmp_path), since=float("nan"))
    with pytest.raises(FailedError, match="ValidationError"):
        estimate_in_process(broken, lambda share: None)
