from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.providers.signatures import (
    RESPONSES,
    is_foreign,
    reasoning_of,
    reasoning_signature,
    sign,
    signed,
)


@given(st.text(), st.text(min_size=1))
def test_a_reasoning_item_comes_back_as_it_was(id_: str, encrypted: str) -> None:
    signature = reasoning_signature(id_, encrypted)
    assert is_foreign(signature)
    assert reasoning_of(signature) == (id_.replace(".", "_"), encrypted)


@given(st.text())
def test_what_stands_in_a_signature_is_for_its_mark_alone(content: str) -> None:
    signature = sign("deepseek", content)
    assert signed(signature, "deepseek") == content
    assert signed(signature, "deep") is None
    assert reasoning_of(signature) is None


@pytest.mark.parametrize(
    "other",
    ["", "c2ln", None, 7, "nl1.", "nl1.responses", "nl1.responses.rs_1", "nl1.responses.rs_1."],
)
def test_another_signature_has_no_reasoning_item(other: object) -> None:
    assert reasoning_of(other) is None


@pytest.mark.parametrize("mark", ["", RESPONSES])
def test_a_signature_of_anthropic_is_for_nobody_else(mark: str) -> None:
    assert signed("c2ln", mark) is None
    assert not is_foreign("c2ln")
