"""Renders the parts of all pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from jinja2 import Environment

from neurolink_mitm.dashboard.page import Page, Part, View
from neurolink_mitm.dashboard.render import colours, digest
from neurolink_mitm.dashboard.site import Site


@dataclass(frozen=True, slots=True)
class Fragment:
    """The HTML of a part, and what tells it from another rendering."""

    html: str
    digest: str


class Parts:
    """The parts of all pages, by name."""

    def __init__(self, pages: Iterable[Page], site: Site, templates: Environment) -> None:
        self._parts = {part.name: part for page in pages for part in page.parts}
        self._site = site
        self._templates = templates
        self.live = frozenset(part.name for part in self._parts.values() if part.live)

    def find(self, name: str) -> Part | None:
        return self._parts.get(name)

    def fragment(self, part: Part, view: View) -> Fragment:
        """Render a part. Runs in a worker thread, as all that a part asks may take long."""
        context = part.context(view)
        template = self._templates.get_template(f"parts/{part.name}.html")
        shared = {
            "read_only": self._site.read_only,
            "now": self._site.now(),
            "colours": colours(each.label for each in self._site.runtime.pool.accounts),
        }
        content = template.render(shared, **context)
        mark = digest(content)
        wrapped = self._templates.get_template("part.html")
        query = urlencode(view.query)
        return Fragment(wrapped.render(part=part, content=content, digest=mark, query=query), mark)

    def fragments(self, names: Collection[str]) -> Mapping[str, Fragment]:
        """Render live parts, by one look at the proxy."""
        view = View(self._site)
        return {name: self.fragment(self._parts[name], view) for name in sorted(names)}
