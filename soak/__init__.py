"""Whether NeuroLink holds out: `python -m soak` lets many clients at it while its accounts fail.

Everything runs on loopback. Five upstreams, one an account and each a process of its own
(`upstream`), answer from shuffled decks in which every kind of failure lies (`decks`); some are
ended and started again in between. The proxy is the real command in a home of its own
(`processes`), the clients are this process: what each of them does is in `crowd`, how it speaks
HTTP in `client`, and whether an answer was a good one in `answers`. `run` is the course of events.

At the end three records are compared: what the clients were told, what the upstreams were asked
(`evidence` reads it), and what the proxy's journal says of both. `checks` are the promises, a
function each; `report` prints them.
"""
