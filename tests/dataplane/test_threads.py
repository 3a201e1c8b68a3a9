from __future__ import annotations

import sys

import pytest

from neurolink_mitm.dataplane.threads import SHORT, short_switch_interval


def test_turns_are_short_until_the_last_has_done() -> None:
    before = sys.getswitchinterval()
    with short_switch_interval():
        with short_switch_interval():
            assert sys.getswitchinterval() == pytest.approx(SHORT)
        assert sys.getswitchinterval() == pytest.approx(SHORT)
    assert sys.getswitchinterval() == pytest.approx(before)


def test_who_fails_leaves_them_as_they_were() -> None:
    before = sys.getswitchinterval()
    with pytest.raises(ValueError, match="no"), short_switch_interval():
        raise ValueError("no")
    assert sys.getswitchinterval() == pytest.approx(before)
