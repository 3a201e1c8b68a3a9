"""The dashboard: pages that show what the proxy does, and act on it.

- `listener`: the socket, bound at the start; what serves it is imported at the first visit, in a thread of its own.
- `access`: links, sessions with their two halves, and how often somebody may try.
- `server`: the routes; `guard`: what is refused before a route sees it, and the headers of every response; `wire`: the
  bounds on connections; `failures` logs what fails.
- `site`: what pages see of the proxy, read on the event loop of the flows.
- `health`: how the parts of the proxy are, in words.
- `jobs`: what takes seconds, in threads of their own, once for all who wait for it.
- `page`: what a page is: its parts, each with data and a template; `pages/` has one file a page.
- `action`: what a page does: a function of another room, with its undo; `actions` lists them.
- `pool`: the accounts as the page Now shows them.
- `config_form`: the configuration as a form; `config_view`: what its page shows.
- `live_requests`: the requests in flight as the page Now shows them; `rates`: how fast their tokens come.
- `live`: what has changed goes to all browsers that show it; `parts` renders it.
- `render`: Jinja2 and its filters; `templates/` and `static/`, with `static/vendored.json` for what is not ours.

Only `listener` and `access` are imported by the proxy; they bring no web framework.
"""

from neurolink_mitm.dashboard.listener import Dashboard as Dashboard
