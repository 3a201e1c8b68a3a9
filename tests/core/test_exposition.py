from __future__ import annotations

from neurolink_mitm.core.exposition import MOST, OTHER, Counter, Histogram, exposed, gauge


def test_a_counter() -> None:
    counter = Counter("x_total", "Things.", ("a", "b"))
    counter.add(1, "one", "two")
    counter.add(1.5, "one", "two")
    assert list(counter.lines()) == [
        "# HELP x_total Things.",
        "# TYPE x_total counter",
        'x_total{a="one",b="two"} 2.5',
    ]


def test_one_without_labels() -> None:
    assert list(Counter("x_total", "Things.", values={(): 3.0}).lines())[-1] == "x_total 3"


def test_what_has_a_meaning_in_labels_is_escaped() -> None:
    counter = Counter("x", "Things.", ("a",))
    counter.add(1, 'q"\\\n\udcff')
    assert list(counter.lines())[-1] == 'x{a="q\\"\\\\\\n\\\\udcff"} 1'


def test_series_are_bounded() -> None:
    counter = Counter("x", "Things.", ("a", "b"))
    for number in range(MOST * 2):
        counter.add(1, str(number), "b")
    counter.add(1, "0", "b")
    assert len(counter.values) == MOST + 1
    assert counter.values[OTHER, OTHER] == MOST
    assert counter.values["0", "b"] == 2


def test_a_histogram_counts_what_is_at_or_below() -> None:
    histogram = Histogram("x", "Things.", (1, 10))
    for value in (0.5, 1, 2, 11):
        histogram.observe(value)
    assert list(histogram.lines())[2:] == [
        'x_bucket{le="1"} 2',
        'x_bucket{le="10"} 3',
        'x_bucket{le="+Inf"} 4',
        "x_sum 14.5",
        "x_count 4",
    ]


def test_a_gauge() -> None:
    text = exposed([gauge("x", "Now.", ("a",), {("b",): 0.25})])
    assert text == '# HELP x Now.\n# TYPE x gauge\nx{a="b"} 0.25\n'
