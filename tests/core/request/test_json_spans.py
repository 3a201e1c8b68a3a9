from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurolink_mitm.core.request import json_spans as spans
from neurolink_mitm.core.request.json_spans import LARGE, Edit, Part, Span

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(st.text(), VALUES, max_size=5) | st.lists(VALUES, max_size=5)
LAYOUTS = st.sampled_from([(None, (",", ":")), (2, None), (None, (" ,\n", "\t: "))])
Layout = tuple[int | None, tuple[str, str] | None]


def written(value: Any, layout: Layout) -> bytes:
    indent, separators = layout
    return json.dumps(value, indent=indent, separators=separators, ensure_ascii=False).encode()


@given(DOCUMENTS, LAYOUTS)
def test_every_part_is_found_with_its_name_and_its_own_bytes(
    document: dict[str, Any] | list[Any], layout: Layout
) -> None:
    body = written(document, layout)
    found = [(p.name, json.loads(p.value.of(body))) for p in spans.parts(body, spans.root(body))]
    wanted = (
        list(document.items())
        if isinstance(document, dict)
        else [("", value) for value in document]
    )
    assert found == wanted


@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=6), LAYOUTS, st.data())
def test_members_taken_out_leave_what_editing_the_decoded_object_would(
    document: dict[str, Any], layout: Layout, data: st.DataObject
) -> None:
    gone = data.draw(st.sets(st.sampled_from(sorted(document))))
    body = written(document, layout)
    all_parts = list(spans.parts(body, spans.root(body)))
    edits = spans.without(all_parts, [p for p in all_parts if p.name in gone])
    left = json.loads(spans.apply(body, edits))
    assert list(left.items()) == [(k, v) for k, v in document.items() if k not in gone]


@given(st.lists(VALUES, min_size=1, max_size=6), LAYOUTS, st.data())
def test_items_replaced_leave_all_other_bytes(
    document: list[Any], layout: Layout, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(document) - 1))
    body = written(document, layout)
    part = list(spans.parts(body, spans.root(body)))[index]
    changed = spans.apply(body, [Edit(part.value, b'"new"')])
    assert changed == body[: part.value.start] + b'"new"' + body[part.value.end :]
    assert json.loads(changed) == [*document[:index], "new", *document[index + 1 :]]


def test_no_edit_gives_the_very_same_object() -> None:
    body = b'{"a":1}'
    assert spans.apply(body, []) is body


def test_space_around_the_document_does_not_matter() -> None:
    body = b' \n{"a": [1, {"b": "]}"}]}\n'
    inner = spans.member(body, spans.root(body), "a")
    assert inner is not None
    assert inner.of(body) == b'[1, {"b": "]}"}]'


@pytest.mark.parametrize(
    "body", [b'{"a":1,"a":2}', b'{"a":1,"b":22,"a":333}', b'{"a":"xx","a":1,"b":2}'], ids=repr
)
def test_two_members_with_one_name_are_refused(body: bytes) -> None:
    """Readers differ on which one counts."""
    with pytest.raises(ValueError, match="a member occurs twice"):
        spans.parts(body, spans.root(body))


def test_only_a_string_has_a_text() -> None:
    body = b'{"a":"\\u00e9\\n","b":1}'
    root = spans.root(body)
    assert spans.text(body, spans.member(body, root, "a")) == "é\n"
    assert spans.text(body, spans.member(body, root, "b")) is None
    assert spans.text(body, spans.member(body, root, "c")) is None


def test_a_scalar_has_no_parts() -> None:
    assert list(spans.parts(b'"{}"', spans.root(b'"{}"'))) == []


@pytest.mark.parametrize("body", [b"[", b'{"a', b'{"a":', b"[1,", b'{"\xff":1}'], ids=repr)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not "):
        spans.parts(body, spans.root(body))


@given(st.dictionaries(st.text(), VALUES, max_size=4) | st.lists(VALUES, max_size=4), LAYOUTS)
def test_what_is_added_comes_last(document: dict[str, Any] | list[Any], layout: Layout) -> None:
    body = written(document, layout)
    new = b'"new":1' if isinstance(document, dict) else b"1"
    at = spans.added(spans.root(body), spans.parts(body, spans.root(body)), new)
    changed = spans.apply(body, [at])
    wanted = {**document, "new": 1} if isinstance(document, dict) else [*document, 1]
    if "new" not in document or isinstance(document, list):
        assert json.loads(changed) == wanted
    assert body == changed[: at.span.start] + changed[at.span.start + len(at.text) :]


@given(DOCUMENTS, LAYOUTS)
def test_a_lone_string_is_found_at_any_depth(document: Any, layout: Layout) -> None:
    body = written([document, {"deep": {"meta": 'x"}\\'}}], layout)
    found = spans.lone_string(body, spans.root(body), "meta")
    assert found is None or json.loads(found.of(body)) == 'x"}\\'
    assert found is not None or body.count(b'"meta"') > 1


@pytest.mark.parametrize(
    "body",
    [b"{}", b'["meta", "a"]', b'{"x\\"meta":"a"}', b'{"meta":"a","y":{"meta":"b"}}', b'{"meta":[1]}'],
    ids=["none", "a-text", "end-of-another", "two", "no-string"],
)  # fmt: skip
def test_where_it_may_be_another_none_is_found(body: bytes) -> None:
    assert spans.lone_string(body, spans.root(body), "meta") is None


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways to all values that have none below them."""
    if isinstance(value, dict | list) and value:
        for step, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(below, (*path, step))
    else:
        yield path


def named(found: list[Part], name: str) -> Span:
    return next(part.value for part in found if part.name == name)


def place_of(body: bytes, path: tuple[Any, ...]) -> Span:
    here = spans.root(body)
    for step in path:
        found = spans.parts(body, here)
        here = found[step].value if isinstance(step, int) else named(found, step)
    return here


def edited(value: Any, changes: dict[tuple[Any, ...], Any], path: tuple[Any, ...] = ()) -> Any:
    if path in changes:
        return changes[path]
    if isinstance(value, dict):
        return {k: edited(v, changes, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [edited(v, changes, (*path, i)) for i, v in enumerate(value)]
    return value


@given(
    st.recursive(
        st.text() | st.none(),
        lambda i: (
            st.lists(i, max_size=4) | st.dictionaries(st.text('abé"\\', min_size=1), i, max_size=4)
        ),
        max_leaves=15,
    ),
    LAYOUTS,
    st.data(),
)
def test_any_edits_are_those_of_the_decoded_value_and_all_other_bytes_stay(
    document: Any, layout: Layout, data: st.DataObject
) -> None:
    chosen = data.draw(st.sets(st.sampled_from(sorted(leaves(document), key=repr))))
    changes = {path: f"new {number}" for number, path in enumerate(chosen)}
    body = written(document, layout)
    edits = [Edit(place_of(body, path), written(new, layout)) for path, new in changes.items()]
    after = spans.apply(body, edits)
    assert json.loads(after) == edited(document, changes)
    at = shift = 0
    for edit in sorted(edits, key=lambda edit: edit.span.start):
        assert after[at + shift : edit.span.start + shift] == body[at : edit.span.start]
        at, shift = edit.span.end, shift + len(edit.text) - (edit.span.end - edit.span.start)
    assert after[at + shift :] == body[at:]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.booleans())
def test_strings_are_decoded_in_one_go(strings: list[str], ascii_only: bool) -> None:
    body = json.dumps(strings, ensure_ascii=ascii_only).encode()
    insides = [
        Span(part.value.start + 1, part.value.end - 1)
        for part in spans.parts(body, spans.root(body))
    ]
    assert spans.texts(body, insides) == strings


def test_a_string_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON strings"):
        spans.texts(b'"\xff"', [Span(1, 2)])


# Long lists and objects

ITEMS = st.one_of(
    st.just(0),
    st.just({}),
    st.just("a,b,]},{"),
    st.lists(st.integers(), max_size=3),
    st.just({"role": "user", "content": [{"type": "text", "text": 'a, "b"'}]}),
    st.integers(1, 300_000).map(lambda size: "x," * size),
)


@given(st.lists(ITEMS, min_size=1, max_size=5), st.integers(1, 3), st.booleans())
def test_they_are_all_that_is_in_the_list(items: list[object], times: int, spaced: bool) -> None:
    small = all(len(str(item)) < 100 for item in items)
    many = items * (times * (10_000 // len(items) if small else 1))
    text = json.dumps(many, separators=None if spaced else (",", ":")).encode()
    found = list(spans.groups(text, Span(0, len(text))))
    assert [each for span in found for each in json.loads(b"[%s]" % span.of(text))] == many
    assert b",".join(span.of(text) for span in found) == text[1:-1]


@pytest.mark.parametrize("unit", [b"{}", b"0", b'"a,b"', b'{"a":[0,0]}', b'{"a":"b"} '])
def test_none_is_large(unit: bytes) -> None:
    text = b"[%s]" % b",".join([unit] * (4 * LARGE // len(unit)))
    assert max(span.end - span.start for span in spans.groups(text, Span(0, len(text)))) <= LARGE


def test_members_of_a_large_object() -> None:
    members = {f"name{n}": [n] for n in range(100_000)}
    text = json.dumps(members).encode()
    found = spans.parts(text, Span(0, len(text)))
    assert {part.name: json.loads(part.value.of(text)) for part in found} == members


def test_a_member_that_occurs_twice_in_a_large_object_is_a_fault() -> None:
    text = b'{"a":0,' + b",".join(b'"%d":0' % n for n in range(LARGE // 4)) + b',"a":1}'
    assert len(text) > 2 * LARGE
    with pytest.raises(ValueError, match="occurs twice"):
        spans.parts(text, Span(0, len(text)))


@pytest.mark.parametrize(
    "text", [b"[" + b"0," * LARGE, b"[" + b"0," * LARGE + b"}", b"[" + b"0 " * LARGE + b"]"]
)
def test_what_is_no_json_is_a_fault(text: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        list(spans.items(text, Span(0, len(text))))


def test_small_ones_are_read_at_once() -> None:
    assert list(spans.groups(b"[1,2]", Span(0, 5))) == [Span(1, 4)]
