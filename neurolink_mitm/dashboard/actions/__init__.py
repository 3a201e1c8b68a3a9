"""The actions of all pages, by name; a file a subject."""

from __future__ import annotations

from collections.abc import Mapping

from neurolink_mitm.dashboard.action import Action
from neurolink_mitm.dashboard.actions import accounts, configuration, health, logins

ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        *accounts.ACTIONS,
        *logins.ACTIONS,
        *configuration.ACTIONS,
        *health.ACTIONS,
    )
}
