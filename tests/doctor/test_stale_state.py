"""What a proxy has left behind."""

from __future__ import annotations

import pytest

from neurolink_mitm.core.pool.cooldown import Cooldown
from neurolink_mitm.core.pool.persisted import PersistedState
from neurolink_mitm.core.status.probe_results import ProxyProbe, SettingsProbe
from neurolink_mitm.doctor.stale_state import diagnose_stale_state
from tests.fakes import NOW

URL = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:55669"}


def cooled(scope: str, until: float) -> dict[str, PersistedState]:
    cooldown = Cooldown(1, NOW, until, "rate limit (429)")
    return {"anthropic:work": PersistedState("x", {scope: cooldown})}


@pytest.mark.parametrize(
    ("proxy", "settings", "cooldowns", "ids"),
    [
        (ProxyProbe(1), None, {}, []),
        (ProxyProbe(1), SettingsProbe("/s"), {}, []),
        (ProxyProbe(1), SettingsProbe("/s", True, None, URL, True), {}, []),
        (ProxyProbe(1, 7), None, {}, ["leftover-state"]),
        (ProxyProbe(1, 7, guard_pid=8, guard_alive=True), None, {}, ["leftover-state", "leftover-guard"]),
        (ProxyProbe(1), SettingsProbe("/s", True, None, URL, False), {}, ["claude-settings-leftover"]),
        (ProxyProbe(1), None, cooled("*", NOW + 9), ["leftover-cooldown"]),
        (ProxyProbe(1), None, cooled("claude-opus-*", NOW + 9), ["leftover-cooldown"]),
        (ProxyProbe(1), None, cooled("*", NOW), []),
    ],
    ids=["nothing", "no-settings", "settings-of-another", "killed", "guard", "settings", "cooldown",
         "cooldown-of-a-model", "cooldown-over"],
)  # fmt: skip
def test_left_behind(
    proxy: ProxyProbe,
    settings: SettingsProbe | None,
    cooldowns: dict[str, PersistedState],
    ids: list[str],
) -> None:
    found = diagnose_stale_state(proxy, settings, cooldowns, NOW)
    assert [each.id for each in found] == ids
    assert all(each.fix for each in found)


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    ("scope", "what"),
    [
        ("*", "work"),
        ("claude-opus-*", "work for claude-opus-*"),
        ("count_tokens:*", "work for count_tokens"),
    ],
)
def test_a_cooldown_says_how_long_and_of_what(scope: str, what: str) -> None:
    [found] = diagnose_stale_state(ProxyProbe(1), None, cooled(scope, NOW + 9), NOW)
    assert found.text == f"account {what} cools until 14:23 IST (in 9s): rate limit (429)"
    assert found.fix == "neurolink proxy reset 'work'"
