from __future__ import annotations

import pytest

from neurolink_mitm.adapters.network import Network
from neurolink_mitm.core.redact.secret import Secret
from neurolink_mitm.core.settings.notify import Notify
from neurolink_mitm.notices.channels import channels_of

URL = "https://hooks.example.com"


@pytest.mark.parametrize(
    ("notify", "names"),
    [
        (Notify(), []),
        (Notify(True, URL, Secret("signs"), ("tell",)), ["desktop", "webhook", "command"]),
        (Notify(webhook=URL), []),
    ],
    ids=["none", "all", "no-secret"],
)
def test_the_channels_that_are_on(notify: Notify, names: list[str]) -> None:
    assert [channel.name for channel in channels_of(notify, {}, Network())] == names
