"""What a page is made of. A page itself holds no data: it comes as parts, each asked for with the session's key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from neurolink_mitm.dashboard.site import Report, Site

Context = Mapping[str, Any]


@dataclass
class View:
    """One look at the proxy: the parts that are rendered together share it."""

    site: Site
    query: Mapping[str, str] = field(default_factory=dict)
    """That of the page, for parts that are not live."""
    made: dict[Callable[[View], Context], Context] = field(default_factory=dict)

    def once(self, make: Callable[[View], Context]) -> Context:
        """Return what `make` returns, which several parts need."""
        if make not in self.made:
            self.made[make] = make(self)
        return self.made[make]

    @cached_property
    def status(self) -> Report:
        """The report of `/status`."""
        return self.site.status()

    @cached_property
    def in_flight(self) -> Report:
        """The requests in flight, as in that report."""
        return self.site.in_flight()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a page with data; its template is `parts/NAME.html`, its element's id `part-NAME`.

    `context` returns what the template needs, in a worker thread. A `live` part takes no query: it is the same in all
    browsers, and goes to them when its HTML changes. So it holds no mail address, and no duration that passes: times
    are written as `<time>` elements, which the page counts up or down.
    """

    name: str
    context: Callable[[View], Context]
    live: bool = False
    mark: Callable[[View], object] | None = None
    """Of a live part whose context takes long: what that is made from, in short. While it stays equal, the part is
    rendered again every few seconds only."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that a page offers, at `/files/NAME`, to who has the session's key.

    `make` returns its name and its text, in a worker thread; the pieces of the text are asked for there, too.
    """

    name: str
    make: Callable[[View], tuple[str, Iterable[str]]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page at `/NAME`, with its parts in their order."""

    name: str
    title: str
    parts: tuple[Part, ...]
    in_menu: bool = True
    styles: tuple[str, ...] = ()
    """Files in `static/` beside `dashboard.css`."""
    scripts: tuple[str, ...] = ()
    """Files in `static/` beside `dashboard.js`."""
    pieces: tuple[Part, ...] = ()
    """Parts that the page does not show by itself: others ask for them."""
    files: tuple[File, ...] = ()


def link(page: str, query: Mapping[str, str]) -> str:
    """Return the address of a page, without what is empty of its query."""
    text = urlencode({name: value for name, value in query.items() if value}, errors="replace")
    return f"/{page}?{text}" if text else f"/{page}"
