from __future__ import annotations

from mitmproxy import options
from mitmproxy.proxy.context import Context
from mitmproxy.test import tflow

from neurolink_mitm.dataplane.bounded_stream import MAX_BODY
from neurolink_mitm.dataplane.layer import FailoverLayer
from neurolink_mitm.dataplane.stream import FailoverStream


def test_an_answer_is_kept_for_those_who_watch_up_to_a_limit() -> None:
    context = Context(tflow.tclient_conn(), options.Options())
    stream = FailoverStream(context, 1, FailoverLayer(context))
    chunk = bytes(MAX_BODY // 4)
    for number in range(1, 7):
        stream._keep(chunk)
        assert len(stream.response_body_buf) == (number * len(chunk) if number <= 4 else 0)
