from __future__ import annotations

from mitmproxy.test import tflow

from neurolink_mitm.addons.persist_state import PersistState
from neurolink_mitm.core.failover.errors import Failure
from neurolink_mitm.core.pool.choice import Requirements
from tests.fakes import NOW, make_account, make_runtime


def test_cooldowns_are_handed_on_when_they_change() -> None:
    runtime = make_runtime(make_account("a"))
    addon = PersistState(runtime)
    addon.responseheaders(tflow.tflow())
    assert runtime.state_store.kept_cooldowns is None  # type: ignore[attr-defined]
    failure = Failure.of_status(401, b"")
    runtime.pool.failed("anthropic:a", Requirements(), failure, sent_at=NOW, now=NOW)
    addon.attempt_failed(tflow.tflow())
    assert list(runtime.state_store.kept_cooldowns) == ["anthropic:a"]  # type: ignore[attr-defined]


def test_quotas_are_handed_on_each_time() -> None:
    runtime = make_runtime(make_account("a"))
    said = ((b"anthropic-ratelimit-unified-5h-utilization", b"0.5"),)
    runtime.pool.update_quota("anthropic:a", said, NOW)
    PersistState(runtime).responseheaders(tflow.tflow())
    assert list(runtime.state_store.kept_quotas) == ["anthropic:a"]  # type: ignore[attr-defined]
