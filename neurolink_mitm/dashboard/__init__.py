"""The dashboard: pages that show what the proxy does, and act on it.

- `web/`: the listener, sessions, routes, live updates.
- `pages/`: the pages, a file each; `page` says what a page is: its parts, each with data and a template.
- `actions/`: what pages do, a file a subject; `action` says what that is: a function of another room, with its undo.
- `views/`: what pages and actions share: accounts, requests and configuration as they are shown.
- `site`: what all of these see of the proxy, read on the event loop of the flows; with `jobs` (what takes seconds, in
  threads of their own, once for all who wait for it), `forgotten` (what undos put back) and `rates` (how fast the
  tokens of requests come).
- `mails`: mail addresses are masked in all that pages print, and read again in what comes back.
- `render`: Jinja2 and its filters; `templates/` and `static/`, with `static/vendored.json` for what is not ours.
- `failures`: logs what fails while a page is made.

Imports go one way: `web`, `pages`, `actions`, `views`, `site`.
"""

from neurolink_mitm.dashboard.web.listener import Dashboard as Dashboard
