from __future__ import annotations

from neurolink_mitm.core.logs.rows import request_row
from neurolink_mitm.core.status.recent import KEPT, Recent
from tests.fakes import make_exchange


def test_the_newest_rows_are_kept() -> None:
    recent = Recent()
    for number in range(KEPT + 5):
        recent.add(request_row(make_exchange(request_id=f"req_{number}")))
    numbers = [int(row.requestId.removeprefix("req_")) for row in recent.newest]
    assert numbers == list(range(KEPT + 4, 4, -1))
