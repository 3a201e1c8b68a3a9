"""What if: the requests of a time under other strategies, from the logs, with the assumptions of the estimate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from neurolink_mitm.core.pool.selection import STRATEGIES
from neurolink_mitm.core.settings.values import Config
from neurolink_mitm.records import log_files
from neurolink_mitm.records.log_files import OnBytes
from neurolink_mitm.records.recorder import MOST_REQUESTS, NEAR, Recorder
from neurolink_mitm.records.recording import Recording
from neurolink_mitm.records.replay import Outcome, Replay, recorded
from neurolink_mitm.records.replay_pool import Setting

FAMILIES = ("proxy", "proxy-attempts")
NAMED = 10
"""Accounts that an assumption names."""


class Progress(Protocol):
    """Called with how much there is to do; what it returns is called with what was done since."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[OnBytes]: ...


def unseen(what: str, total: int) -> AbstractContextManager[OnBytes]:
    """Show no progress."""
    return nullcontext(lambda done: None)


def record(
    logs: Path,
    since: float,
    until: float,
    progress: Progress = unseen,
    most: int = MOST_REQUESTS,
) -> Recording:
    """Read the requests from `since` to before `until` (seconds since the epoch)."""
    recorder = Recorder(since, until, most)
    # a row is in the file of the day on which its request began or ended
    paths = [log_files.files(logs, family, since - NEAR, until + NEAR) for family in FAMILIES]
    with progress("reading", log_files.size([path for each in paths for path in each])) as on_bytes:
        for path in paths[0]:
            recorder.take_requests(log_files.lines(path, on_bytes))
        for path in paths[1]:
            recorder.take_attempts(log_files.lines(path, on_bytes))
    return recorder.finish()


def record_file(path: Path, progress: Progress = unseen) -> Recording:
    """Read a file of attempts, and the one of the day's requests beside it, if it is there."""
    recorder = Recorder()
    beside = path.with_name(path.name.replace(FAMILIES[1], FAMILIES[0], 1))
    requests = [beside] if beside != path and beside.is_file() else []
    with progress("reading", log_files.size([path, *requests])) as on_bytes:
        for each in requests:
            recorder.take_requests(log_files.lines(each, on_bytes))
        recorder.take_attempts(log_files.lines(path, on_bytes))
    return recorder.finish()


def compare(
    recording: Recording,
    setting: Setting,
    strategies: Sequence[str] = tuple(STRATEGIES),
    progress: Progress = unseen,
) -> dict[str, Outcome]:
    """Return what was recorded as `recorded`, and the outcome of each strategy by its name."""
    replay, before = Replay(recording, strategies, setting), 0
    with progress("replaying", len(recording.requests)) as advance:
        for done in replay.run():
            advance(done - before)
            before = done
    return {"recorded": recorded(recording), **replay.outcomes}


def setting_of(config: Config, accounts: Sequence[Any] = ()) -> Setting:
    """Return what is configured beside the strategy; `accounts` are those of the pool."""
    routing = config.routing
    return Setting(
        tuple(accounts),
        routing.session_affinity,
        routing.primary_account,
        routing.pay_per_use,
        routing.daily_cap_usd,
    )
