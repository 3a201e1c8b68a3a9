"""Reads the logs: rows, statistics, HAR, changes (`audit`), replay under another strategy; and deletes the old ones
(`retention`).

A replay makes a `recording` of rows (`recorder`) and sends its requests again (`replay`), to the accounts of
`replay_pool` and against `recorded_limits`; `estimate` says what that is worth. `what_if` reads the files for it,
`estimator` does all of it in a process of its own.

Statistics (`stats`, made of `sums`) are summed up (`summing`) from rows and from roll-ups, which are kept longer: the
sums of a day (`rollups`) by quarters of an hour (`slots`) in a file (`rollup_files`, `rollup_reader`). `rollup_builder`
writes these while somebody looks at `history`.

A request among millions is found by `request_search`, in blocks of `log_files`. `request_timeline`, `changes`,
`answer_blocks` and `pretty_json` make what is logged of one request readable.
"""
