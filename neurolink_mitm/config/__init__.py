"""The configuration: from its files to values in force.

A new key is a field in `core/settings/values.py`, with its check and its meaning. A reload runs `reloader` (a file
has changed), `sources` (all files are read and checked), `apply` (the values are put in force, as at the start).

- `file`: YAML or JSON from disk; `interpolation`: `${VAR}`; `document`: checked values, or all faults.
- `env_file`: `.env`, read and edited.
- `sources`: all files that a proxy is made from, with `input_warnings`; `check` for those who only want to know.
- `edit`: an edited copy put in place, `routing.primary-account`.
- `proposal`: an edit that is checked, made, undone; `masked_diff`: the lines that it changes.
- `show`: a configuration as lines and as JSON, and the differences of two; `schema`: its JSON Schema.
"""
