"""Templates and their filters. Whatever comes from outside is text: Jinja2 escapes every value."""

from __future__ import annotations

from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from neurolink_mitm import __version__
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.logs.timestamps import seconds


def environment() -> Environment:
    """Return the templates of this package with their filters."""
    made = Environment(
        loader=PackageLoader("neurolink_mitm.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"count": count, "tokens": tokens, "ms": ms, "usd": usd, "share": share,
                     "when": when, "since": since, "until": until}  # fmt: skip
    made.globals |= {"version": __version__}
    return made


def digest(html: str) -> str:
    """Return what tells one rendering of a part from another."""
    return sha256(html.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def count(value: float | None) -> str:
    """Return a number with thin spaces between thousands: `12 345`."""
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")


def tokens(value: float | None) -> str:
    """Return a number of tokens, short: `950`, `12.3k`, `4.56M`."""
    if value is None:
        return "–"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return (
                f"{value / size:.3g}{unit}" if value < 999.5 * size else f"{value / size:.0f}{unit}"
            )
    return f"{value:.0f}"


def ms(value: float | None) -> str:
    """Return milliseconds with a unit: `85 ms`, `1.42 s`, `3 min 20 s`."""
    if value is None:
        return "–"
    if value < 999.5:
        return f"{value:.0f} ms"
    if value < 59_995:
        return f"{value / 1000:.3g} s"
    minutes, rest = divmod(round(value / 1000), 60)
    return f"{minutes} min {rest} s"


def usd(value: float | None) -> str:
    """Return dollars, small sums with more digits: `$1.20`, `$0.0042`."""
    if value is None:
        return "–"
    return f"${value:.4f}" if 0 < value < 0.1 else f"${value:,.2f}"


def share(value: float | None) -> str:
    """Return a share of 1 in per cent: `42 %`."""
    return "–" if value is None else f"{value:.0%}".replace("%", "\u202f%")


def when(moment: str | float | None) -> Markup:
    """Return a time, which the page shows in the viewer's zone, with the exact one on hover."""
    return _time(moment, "clock")


def since(moment: str | float | None) -> Markup:
    """Return a time in the past, which the page shows as a duration that goes on: `3 min ago` counts up."""
    return _time(moment, "since")


def until(moment: str | float | None) -> Markup:
    """Return a time to come, which the page counts down to."""
    return _time(moment, "until")


def _time(moment: str | float | None, kind: str) -> Markup:
    if moment is None:
        return Markup("–")
    try:
        text = moment if isinstance(moment, str) else iso(moment)
        text = iso(
            seconds(text)
        )  # what is no time, or an odd one, is not put into a page's attribute
    except ValueError:
        return Markup("{}").format(moment)
    return Markup('<time datetime="{0}" data-as="{1}">{0}</time>').format(text, kind)
