from __future__ import annotations

import pytest

from neurolink_mitm.core.settings.notify import Notify


@pytest.mark.parametrize(
    ("notify", "channels"),
    [
        (Notify(), ()),
        (Notify(command=("tell",)), ("command",)),
        (Notify(True, "https://hooks.example.com"), ("desktop", "webhook")),
    ],
    ids=["none", "one", "two"],
)
def test_channels_are_those_that_are_configured(notify: Notify, channels: tuple[str, ...]) -> None:
    assert notify.channels == channels
