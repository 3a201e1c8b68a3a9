"""Templates and their filters. Whatever comes from outside is text: Jinja2 escapes every value, and mail addresses are
masked in each.

Filters take anything: rows of a log hold what somebody has written into them. What is no number is shown as `–`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from zlib import crc32

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from neurolink_mitm import __version__
from neurolink_mitm.core.logs.rows import iso
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.dashboard.mails import Mails

NOTHING = "–"
THIN = "\u202f"
"""The space between a number and its unit: narrow, and no line breaks there."""
HUGE = 1e15
"""From here on numbers are written with an exponent."""
_ISO = re.compile(r"(\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z)")
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Controls, those that turn the direction of what follows, and halves of characters, which no page can hold."""
SHORT = 8
"""Characters of a session's or an agent's id."""
COLOURS = 8
"""Of accounts, in `dashboard.css`."""


def environment(mails: Mails | None = None) -> Environment:
    """Return the templates of this package with their filters. What they print is masked by `mails`."""
    mails = mails or Mails()
    mask = mails.mask

    def final(value: object) -> object:
        return value if isinstance(value, Markup) else printable(mask(value))

    def masking(write: Callable[[object], str]) -> Callable[[object], str]:
        return lambda value: write(mask(value))

    made = Environment(
        loader=PackageLoader("neurolink_mitm.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=final,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    own = (count, tokens, ms, usd, share, size, fraction, percent, when, dated, since, until, due, daytime, timed,
           short)  # fmt: skip
    made.filters |= {each.__name__: masking(each) for each in own}
    made.filters |= {"account_colour": account_colour, "unmasked": unmasked,
                     "tojson": lambda value: htmlsafe_json_dumps(mails.mask_all(value))}  # fmt: skip
    made.globals |= {"version": __version__}
    return made


def printable(value: object) -> object:
    """Return a value of a template with each unprintable character replaced by U+FFFD; HTML is left as it is."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return _UNPRINTABLE.sub("\ufffd", value)


def unmasked(text: object) -> Markup:
    """Return a text with its mail addresses, for who has asked for them."""
    return Markup("{}").format(printable(text))


def digest(html: str) -> str:
    """Return what tells one rendering of a part from another."""
    return sha256(html.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def count(value: object) -> str:
    """Return a number with thin spaces between thousands: `12 345`."""
    number = _number(value)
    return NOTHING if number is None else _digits(number, 0)


def tokens(value: object) -> str:
    """Return a number of tokens, short: `950`, `12.3k`, `4.56M`."""
    return _scaled(value, 1000, ("", "k", "M", "G", "T"), "")


def size(value: object) -> str:
    """Return a number of bytes: `950 B`, `12.3 kB`."""
    return _scaled(value, 1000, ("B", "kB", "MB", "GB", "TB"), THIN)


def ms(value: object) -> str:
    """Return milliseconds with a unit: `85 ms`, `1.42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    number = _number(value)
    if number is None:
        return NOTHING
    if number < 0:
        return f"-{ms(-number)}"
    if number < 999.5:
        return f"{number:.0f}{THIN}ms"
    if number < 59_950:
        return f"{number / 1000:.3g}{THIN}s"
    minutes, rest = divmod(round(number / 1000), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest}{THIN}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}{THIN}h {minutes}{THIN}min"
    return f"{_digits(hours // 24, 0)}{THIN}d {hours % 24}{THIN}h"


def usd(value: object) -> str:
    """Return dollars, small sums with more digits: `$1.20`, `$0.0042`."""
    number = _number(value)
    if number is None:
        return NOTHING
    sign = "-" if number < 0 else ""
    return f"{sign}${_digits(abs(number), 4 if 0 < abs(number) < 0.1 else 2)}"


def share(value: object) -> str:
    """Return a share of 1 in per cent: `42 %`. What is not all is not 100 %, and what is not nothing is not 0 %."""
    number = _number(value)
    if number is None:
        return NOTHING
    if 0 < number < 0.005:
        return f"<{THIN}1{THIN}%"
    percent = 99.0 if 0.99 < number < 1 else number * 100
    return f"{_digits(percent, 0)}{THIN}%"


def short(value: object) -> str:
    """Return the beginning of an id: enough to tell two apart."""
    return str(value)[:SHORT]


def fraction(value: object) -> str:
    """Return a share of 1 as the value of a meter, which holds 0 to 1."""
    return f"{_bounded(value):.4g}"


def percent(value: object) -> str:
    """Return a share of 1 as the length of a bar in an SVG, 0 to 100 %."""
    return f"{_bounded(value) * 100:.4g}%"


@pass_context
def account_colour(context: Context, label: object) -> str:
    """Return the class of an account's colour: the same on all pages and after each start."""
    by_label: Mapping[str, int] = context.get("colours", {})
    text = str(label)
    return f"acct-{by_label.get(text, _colour(text))}"


def colours(labels: Iterable[str]) -> Mapping[str, int]:
    """Return the colours of the pool's accounts: two have the same only where there are more accounts than colours."""
    taken: dict[str, int] = {}
    used = [0] * COLOURS
    for label in sorted(set(labels)):
        first = _colour(label)
        order = [(first + step) % COLOURS for step in range(COLOURS)]
        taken[label] = colour = min(order, key=lambda each: used[each])
        used[colour] += 1
    return taken


def _colour(label: str) -> int:
    return crc32(label.encode("utf-8", "surrogatepass")) % COLOURS


def when(moment: object) -> Markup:
    """Return a time, which the page shows in the viewer's zone, with the exact one on hover."""
    return _time(moment, "clock")


def dated(moment: object) -> Markup:
    """Return a time, which the page shows with its day, also where that is today."""
    return _time(moment, "dated")


def since(moment: object) -> Markup:
    """Return a time in the past, which the page shows as a duration that goes on: `3 min ago` counts up."""
    return _time(moment, "since")


def until(moment: object) -> Markup:
    """Return a time to come, which the page counts down to."""
    return _time(moment, "until")


def due(moment: object) -> Markup:
    """Return a time to come, which the page shows with its day and what is left: `Tue 16:40 (in 2 h 5 min)`."""
    return _time(moment, "due")


def daytime(moment: object) -> Markup:
    """Return a time without its day, under the heading of which it stands."""
    return _time(moment, "daytime")


def timed(text: object) -> Markup:
    """Return a text in which each time (ISO 8601 in UTC) is as `due` writes it."""
    parts = _ISO.split(str(text))
    return Markup("").join(due(part) if i % 2 else part for i, part in enumerate(parts))


def _time(moment: object, kind: str) -> Markup:
    """Return the element. What is no time, or an odd one, is not put into an attribute of the page."""
    try:
        at = seconds(moment) if isinstance(moment, str) else _number(moment)
        text = None if at is None else iso(at)
    except (ValueError, OverflowError, OSError):
        return Markup("{}").format(printable(moment))
    html = "{}" if text is None else '<time datetime="{0}" data-as="{1}">{0}</time>'
    return Markup(html).format(text or NOTHING, kind)  # noqa: S704  # no text of anybody is in `html`


def _number(value: object) -> float | None:
    """Return a finite number; None for all else. A name that a template does not have stays an error."""
    if isinstance(value, StrictUndefined):
        str(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _bounded(value: object) -> float:
    return min(1.0, max(0.0, _number(value) or 0.0))


def _digits(number: float, decimals: int) -> str:
    """Return a number with thin spaces between thousands, and no minus before a zero."""
    if abs(number) >= HUGE:
        return f"{number:.3g}".replace("e+", "e")
    text = f"{number:,.{decimals}f}".replace(",", THIN)
    return text.removeprefix("-") if not text.strip("-0.") else text


def _scaled(value: object, step: float, units: tuple[str, ...], space: str) -> str:
    """Return a number with three digits and the unit that fits."""
    number = _number(value)
    if number is None:
        return NOTHING
    rest, index = abs(number), 0
    while rest >= step - 0.5 and index < len(units) - 1:
        rest, index = rest / step, index + 1
    digits = _digits(rest, 0) if index == 0 or rest >= 99.95 else f"{rest:.3g}"
    return f"{'-' if number < 0 else ''}{digits}{space if units[index] else ''}{units[index]}"
