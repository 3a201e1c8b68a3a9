from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurolink_mitm.core.providers.adapt import UnsupportedError, adapt
from neurolink_mitm.core.providers.adapt.request import FIELDS
from tests.core.providers.adapt.requests import TRAITS, USER, Json, adapted

FOREIGN = ("metadata", "betas", "service_tier", "context_management", "mcp_servers", "container",
           "cache_control", "speed", "inference_geo", "model", "a_field_of_tomorrow")  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_do_not_know_is_left_out(name: str) -> None:
    assert name not in adapted(**{name: {"x": 1}})


KNOWN = {"max_tokens": 1, "stop_sequences": ["x"], "temperature": 1, "top_p": 1, "stream": True}


@pytest.mark.parametrize(("name", "value"), KNOWN.items(), ids=KNOWN)
def test_what_they_know_is_handed_on(name: str, value: Any) -> None:
    assert adapted(**{name: value})[name] == value


@pytest.mark.parametrize(
    ("system", "left"),
    [("a", "a"), ([{"type": "text", "text": "a", "cache_control": {}}, {"type": "text", "text": "b"}], "a\n\nb")],
    ids=["text", "blocks"],
)  # fmt: skip
def test_the_system_is_one_text(system: Any, left: str) -> None:
    assert adapted(system=system)["system"] == left


@pytest.mark.parametrize("system", ["", "\n ", [{"type": "text", "text": "\n\n"}], []], ids=repr)
def test_a_blank_system_is_left_out(system: Any) -> None:
    assert "system" not in adapted(system=system)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["type", "text", "content", "role", "name", "source", "tools", "system", "id"]),
        inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)  # other work on this machine is no fault
@given(st.dictionaries(st.sampled_from([*FIELDS, "output_config"]), JSON))
def test_a_request_of_any_form_is_adapted_or_refused_and_left_as_it_was(request: Json) -> None:
    before = copy.deepcopy(request)
    with suppress(UnsupportedError):
        adapt(request, TRAITS)
    with suppress(UnsupportedError):
        adapt({"messages": [USER], **request}, TRAITS)
    assert request == before


@pytest.mark.parametrize("content", ["", [], [{"type": "thinking", "thinking": "hm"}]])
def test_where_nothing_is_left_to_answer_the_request_is_refused(content: Any) -> None:
    with pytest.raises(UnsupportedError, match="nothing to answer"):
        adapt({"messages": [{"role": "user", "content": content}]}, TRAITS)
