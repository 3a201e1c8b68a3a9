from __future__ import annotations

import pytest

from neurolink_mitm.core.status.versions import aging


@pytest.mark.parametrize(
    ("found", "old"), [("11.0.2", True), ("11.0.3", True), ("11.1.0", False), ("12.2.3", False)]
)
def test_which_mitmproxy_gets_no_more_fixes(found: str, old: bool) -> None:
    told = aging(found)
    assert (told is not None) == old
    assert told is None or (found in told and "Python 3.12" in told)
