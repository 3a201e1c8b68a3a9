from __future__ import annotations

import pytest

from neurolink_mitm.core.pool.pool import Pool
from tests.fakes import make_account


@pytest.mark.parametrize(
    ("other", "several"),
    [({}, False), ({"base_url": "http://b"}, True), ({"proxy_url": "http://p:1"}, True)],
)
def test_whether_accounts_go_different_ways(other: dict[str, str], several: bool) -> None:
    assert Pool([make_account("a"), make_account("b", **other)]).has_several_ways is several
