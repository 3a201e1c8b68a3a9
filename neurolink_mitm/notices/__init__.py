"""Tells the user what happens to the pool: on the desktop, by a webhook, by a command; beside requests.

- `conditions`: what holds now that somebody may want to know, from the pool and its budget.
- `watch`: which conditions are told: each once per cause, not in quiet hours, also after a restart.
- `event`: an event as JSON and in plain words, and the signature of a webhook.
- `notifier`: looks at the pool each second, and queues the events.
- `delivery`: sends them in a thread of its own; a channel that hangs holds up no other one.
- `daemon_threads`: DNS look-ups that nobody waits for at the end.
- `channels`: the channels of a configuration; `webhook`, `command`, `desktop`: one each; `undelivered`: why one failed.
- `trial`: sends a test event through all channels, for `neurolink notify test`.
"""
