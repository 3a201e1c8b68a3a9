from __future__ import annotations

import pytest

from neurolink_mitm.core.charges import Charge, charge_at


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages/batches/b_1/results"),
        ("HEAD", "/v1/x"),
        ("DELETE", "/v1/files/f_1"),
        ("POST", "/v1/files"),
        ("POST", "/v1/files?beta=true"),
        ("POST", "/v1/messages/batches/b_1/cancel"),
        ("POST", "/v1/skills/s_1/versions"),
        ("POST", "/v1/organizations/invites"),
    ],
)
def test_what_is_free(method: str, path: str) -> None:
    assert charge_at(method, path) is Charge.FREE


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/complete"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/images/generations"),
        ("POST", "/v1/sessions"),
        ("POST", "/v1/filesystem"),
        ("PUT", "/v1/files"),
        ("PATCH", "/v1/x"),
        ("post", "/v1/files"),
        ("get", "/v1/files"),
    ],
)
def test_what_nobody_can_tell(method: str, path: str) -> None:
    assert charge_at(method, path) is Charge.UNTOLD
