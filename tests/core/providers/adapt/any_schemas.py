"""JSON that looks like the schemas of tools."""

from __future__ import annotations

from hypothesis import strategies as st

_KEYS = st.sampled_from(
    ["type", "properties", "items", "prefixItems", "required", "enum", "const", "anyOf", "oneOf", "allOf", "not",
     "$ref", "$defs", "additionalProperties", "patternProperties", "minimum", "exclusiveMinimum", "minLength",
     "description", "title", "format", "pattern", "default", "nullable", "a", "b"]
)  # fmt: skip
_LEAVES = [
    True,
    False,
    None,
    1,
    "",
    "x",
    "object",
    "array",
    "string",
    "integer",
    "null",
    "#/$defs/a",
    "#",
]
_PART = st.recursive(
    st.sampled_from(_LEAVES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)
ANY_SCHEMA = st.dictionaries(_KEYS, _PART, max_size=5)
