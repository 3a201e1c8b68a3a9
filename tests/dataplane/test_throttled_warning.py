from __future__ import annotations

import logging

import pytest

from neurolink_mitm.dataplane.throttled_warning import EVERY, ThrottledWarning
from tests.fakes import FakeClock


def test_a_flood_is_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    line = ThrottledWarning(logging.getLogger("test"), "too much", clock.now)
    for _ in range(1000):
        line.warn()
    clock.advance(EVERY)
    line.warn()
    assert caplog.messages == ["too much", "too much (1000 times since the last line)"]
