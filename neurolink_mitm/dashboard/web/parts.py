"""Renders the parts of all pages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment

from neurolink_mitm.core.pool.accounts import Account
from neurolink_mitm.dashboard.failures import log_failure
from neurolink_mitm.dashboard.page import Page, Part, View
from neurolink_mitm.dashboard.render import colours, digest
from neurolink_mitm.dashboard.site import BusyError, Site

STALE = 3.0
"""Seconds after which a part with a `mark` is rendered again though that is the same: time changes it, too."""


@dataclass(frozen=True)
class Fragment:
    """The HTML of a part, and what tells it from another rendering."""

    name: str
    html: str
    digest: str

    @cached_property
    def message(self) -> str:
        """What htmx' extension for WebSockets puts in place of the part; made once for all browsers."""
        swap = {"target": f"#part-{self.name}", "swap": "outerMorph", "content": self.html}
        return msgspec.json.encode(swap).decode()


class Parts:
    """The parts of all pages, by name."""

    def __init__(self, pages: Iterable[Page], site: Site, templates: Environment) -> None:
        self._parts = {part.name: part for page in pages for part in (*page.parts, *page.pieces)}
        self.site = site
        self._templates = templates
        self._coloured: Sequence[Account] | None = None
        """The accounts whose colours are in `_colours`."""
        self._colours: Mapping[str, int] = {}
        self.live = frozenset(part.name for part in self._parts.values() if part.live)

    def find(self, name: str) -> Part | None:
        return self._parts.get(name)

    def fragment(self, part: Part, view: View) -> Fragment:
        """Render a part. Runs in a worker thread, as all that a part asks may take long."""
        return self.rendered(part, part.context(view), view)

    def rendered(self, part: Part, context: Mapping[str, Any], view: View) -> Fragment:
        template = self._templates.get_template(f"parts/{part.name}.html")
        content = template.render(self.shared(), now=self.site.now(), **context)
        mark = digest(content)
        wrapped = self._templates.get_template("part.html")
        query = urlencode(view.query)
        html = wrapped.render(part=part, content=content, digest=mark, query=query)
        return Fragment(part.name, html, mark)

    def shared(self) -> Mapping[str, object]:
        """Return what all templates are given."""
        accounts = self.site.runtime.pool.accounts
        if accounts is not self._coloured:
            labels = [each.label for each in accounts]
            self.site.mails.know(labels)
            self._colours, self._coloured = colours(labels), accounts
        return {"read_only": self.site.read_only, "colours": self._colours}

    def failed(self, part: Part, message: str) -> Fragment:
        """Render what stands in place of a part that can't be shown."""
        html = self._templates.get_template("error.html").render(
            part=part, message=message, query=""
        )
        return Fragment(part.name, html, digest(html))


@dataclass(slots=True)
class _Rendered:
    """A live part as it was last rendered, from what and when."""

    fragment: Fragment
    mark: object
    context: Mapping[str, Any]
    shared: Mapping[str, object]
    at: float


class LiveParts:
    """The live parts, each rendered again only if what it shows has changed. One look at a time."""

    def __init__(self, parts: Parts, clock: Callable[[], float] = monotonic) -> None:
        self._parts = parts
        self._clock = clock
        self._latest: dict[str, _Rendered] = {}
        self._failed: set[str] = set()
        self.names = parts.live

    def now(self) -> float:
        return self._parts.site.now()

    def look(self, names: Collection[str]) -> Mapping[str, Fragment]:
        """Return these parts as they are now, by one look at the proxy. A part that fails says so in its place."""
        view = View(self._parts.site)
        return {name: self._fragment(name, view) for name in sorted(names)}

    def _fragment(self, name: str, view: View) -> Fragment:
        part = self._parts.find(name)
        assert part is not None
        try:
            fragment = self._current(part, view)
            self._failed.discard(name)
            return fragment
        except BusyError as e:
            failed = self._parts.failed(part, str(e))
        except Exception:
            if name not in self._failed:  # once, not at each look
                log_failure(f"a part of the dashboard can't be shown: {name}")
            self._failed.add(name)
            failed = self._parts.failed(part, "this part can't be shown; the log says why")
        self._latest.pop(name, None)
        return failed

    def _current(self, part: Part, view: View) -> Fragment:
        now, mark = self._clock(), (part.mark(view) if part.mark else None)
        latest = self._latest.get(part.name)
        if latest and part.mark and latest.mark == mark and 0 <= now - latest.at < STALE:
            return latest.fragment
        context, shared = part.context(view), self._parts.shared()
        if latest and (latest.context, latest.shared) == (context, shared):
            fragment = latest.fragment
        else:
            fragment = self._parts.rendered(part, context, view)
        self._latest[part.name] = _Rendered(fragment, mark, context, shared, now)
        return fragment
