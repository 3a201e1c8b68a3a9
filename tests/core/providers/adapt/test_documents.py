from __future__ import annotations

import pytest

from neurolink_mitm.core.providers.adapt import UnsupportedError
from tests.core.providers.adapt.requests import PDF, Json, block_of


@pytest.mark.parametrize(
    "content", [PDF, {"type": "tool_result", "tool_use_id": "t", "content": [PDF]}]
)
def test_a_pdf_is_refused_where_nobody_could_read_it(content: Json) -> None:
    with pytest.raises(UnsupportedError, match="takes no documents"):
        block_of(content, documents=False)
