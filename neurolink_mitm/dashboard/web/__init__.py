"""How a browser gets the pages: HTTP on loopback, and one WebSocket.

- `listener`: the socket, bound at the start; what serves it is imported at the first visit, in a thread of its own.
- `access`: links, sessions with their two halves, and how often somebody may try.
- `server`: the routes; `guard`: what is refused before a route sees it, and the headers of every response; `wire`: the
  bounds on connections.
- `live`: what has changed goes to all browsers that show it; `parts` renders it.

Only `listener` and `access` are imported by the proxy; they bring no web framework.
"""
