from __future__ import annotations

from neurolink_mitm.dashboard.action import Action

ACTIONS: tuple[Action, ...] = ()
