"""What replicas have counted of each account: the sums, and whatever another may have written."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.cluster.tallies import read_tallies, summed, tallies_of
from neurolink_mitm.core.pool.pool import Pool
from tests.fakes import make_account

A, B = make_account("a"), make_account("b")
KEYS = {A.key: A, B.key: B}


def counted(*counts: int) -> dict[str, object]:
    names = ("attempts", "success", "errors", "rateLimits")
    return dict(zip(names, counts, strict=True))


def test_sums_over_all_replicas() -> None:
    rows = summed([A, B], ({A.key: (4, 3, 2, 1)}, {A.key: (10, 10, 10, 10), "gone": (1, 1, 1, 1)}))
    assert rows == [
        {"label": "a", "key": A.key, **counted(14, 13, 12, 11)},
        {"label": "b", "key": B.key, **counted(0, 0, 0, 0)},
    ]
    assert summed([A], ())[0] == {"label": "a", "key": A.key, **counted(0, 0, 0, 0)}


def test_what_is_written_is_read() -> None:
    pool = Pool([A, B])
    pool.account_state(A.key).tally.attempts = 3
    own = tallies_of(pool.states_of(pool.accounts))
    assert own == {A.key: (3, 0, 0, 0)}
    assert read_tallies(msgspec.json.encode(own), KEYS) == own


@pytest.mark.parametrize(
    "counts",
    ["[1,2,3]", "[1,2,3,4,5]", "[1,2,3,-1]", "[1,2,3,true]", "[1,2,3,1e308]", "7", "[1,2,3,1.5]", "null"],
)  # fmt: skip
def test_what_are_no_counts_is_left_out(counts: str) -> None:
    data = f'{{"{A.key}": {counts}, "{B.key}": [1, 1, 1, 1], "x": [1, 1, 1, 1]}}'
    assert read_tallies(data.encode(), KEYS) == {B.key: (1, 1, 1, 1)}


@given(st.binary(max_size=50))
def test_any_bytes_may_be_there(data: bytes) -> None:
    assert read_tallies(data, KEYS) == {}
