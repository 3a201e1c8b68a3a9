from __future__ import annotations

from neurolink_mitm.addons.notices import Notices
from neurolink_mitm.core.exchange import Outcome
from tests.addons.flows import make_flow, record
from tests.fakes import FakeNotices, make_runtime


def test_each_finished_request_is_handed_on() -> None:
    notices, flow = FakeNotices(), make_flow()
    addon = Notices(make_runtime(notices=notices))
    addon.response(flow)
    addon.error(flow)
    assert notices.exchanges == [record(flow)] * 2


def test_a_runtime_without_notices_needs_none() -> None:
    Notices(make_runtime()).response(make_flow(outcome=Outcome.COMPLETE))
