from __future__ import annotations

from neurolink_mitm.core.openai.responses.body import response_id


def test_a_response_has_the_id_of_its_request() -> None:
    assert response_id("req_nl_0a1b") == "resp_0a1b"
