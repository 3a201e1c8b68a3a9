from __future__ import annotations

import msgspec
import pytest

from neurolink_mitm.core.json_errors import UNREADABLE


class Known(msgspec.Struct):
    name: str = ""


@pytest.mark.parametrize(
    "body",
    [b"", b"no", b"[]", b'{"name":7}', b'{"name":"\xff"}', b'{"name":"\\ud800"}', b'{"x":' + b"[" * 200_000],
    ids=["empty", "text", "list", "wrong-type", "no-utf-8", "half-a-surrogate", "deep"],
)  # fmt: skip
def test_all_that_reading_raises(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        msgspec.json.decode(body, type=Known)


def test_a_text_that_can_not_be_encoded() -> None:
    with pytest.raises(UNREADABLE):
        msgspec.json.decode('{"name":"\udc80"}', type=Known)
