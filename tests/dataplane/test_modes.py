from __future__ import annotations

import pytest

from neurolink_mitm.dataplane.modes import MODE, pool_mode, with_pool_mode

OTHER = "reverse:https://other.example"


@pytest.mark.parametrize(
    ("modes", "ours"),
    [
        ([MODE], MODE),
        ([OTHER], OTHER),
        ([OTHER, f"{MODE}@5000", "regular@1"], f"{MODE}@5000"),
        (["regular", f"{OTHER}@2", "reverse:http://third.example"], f"{OTHER}@2"),
        (["regular", "socks5@1080"], None),
    ],
)
def test_which_is_the_pools(modes: list[str], ours: str | None) -> None:
    assert pool_mode(modes) == ours


@pytest.mark.parametrize(
    ("modes", "run"),
    [
        (["regular"], [MODE]),
        ([OTHER], [OTHER]),
        (["regular@8080"], [f"{MODE}@55669", "regular@8080"]),
        (["socks5", OTHER], ["socks5", OTHER]),
    ],
)
def test_there_always_is_one(modes: list[str], run: list[str]) -> None:
    assert with_pool_mode(modes, 55669) == run
