"""What pages show, made from reports and rows; templates only lay it out.

- `pool`: the accounts as the page Now shows them; `account`: what can be done with one, and why not.
- `live_requests`: the requests in flight.
- `logged`: a logged request; `captured`: what was captured of it.
- `charts`: the charts of the page History.
- `health`, `replicas`: how the parts of the proxy are, and the replicas of its cluster, in words.
- `config_form`: the configuration as a form; `filled_form`: what one that was sent changes; `config_view`: both, as
  their page shows them.
"""
