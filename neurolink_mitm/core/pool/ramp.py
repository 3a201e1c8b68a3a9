"""Slow start: an account that takes over from another one, or has recovered, gets a few requests at once at first.

A few means two more than it has answered in the last minute. Each answer admits one more (as in TCP: RFC 5681, section
3.1), and so does time, as upstream may be slow. All at once they would meet upstream's limits on acceleration
(https://platform.claude.com/docs/en/api/rate-limits), and each would write to the prompt cache what they have in
common: it can be read once the first response begins
(https://platform.claude.com/docs/en/build-with-claude/prompt-caching).

Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from neurolink_mitm.core.request.endpoints import covers

FIRST = 2
"""Requests that a ramp admits at its beginning."""
STEP = 1.0
"""Seconds after which as many again are admitted, whatever upstream answers."""
STEPS = 5
"""Steps after which the ramp is over."""
PROBE_WAIT = 2.0
"""Seconds for which the result of a probe is waited for, at most."""
LONGEST_WAIT = 8.0
"""Seconds that a request waits in all for ramps and probes, at most."""
LATELY = 60.0
"""Seconds for which an answer counts: an account takes over as many requests at once as it has answered lately."""
MAX_ANSWERS = 64
"""Answers of an account that are remembered for that."""


@dataclass(slots=True)
class Ramp:
    """The ramp that began at `began_at`; `unanswered` has the times at which requests were sent that have no answer."""

    began_at: float
    answers: int = 0
    """Good answers, with those of lately when it began."""
    unanswered: list[float] = field(default_factory=list)

    def is_over(self, now: float) -> bool:
        """Return whether it admits any number: also where the clock was set."""
        return not 0 <= now - self.began_at < STEPS * STEP

    def limit(self, now: float) -> int:
        """Return how many requests may be unanswered at once; `now` is before the end."""
        return (FIRST << self._steps(now)) + self.answers

    def full_until(self, now: float) -> float | None:
        """Return when it admits the next request, answers or not; None: it admits one now."""
        if self.is_over(now) or len(self.unanswered) < self.limit(now):
            return None
        return self.began_at + (self._steps(now) + 1) * STEP

    def _steps(self, now: float) -> int:
        return int((now - self.began_at) / STEP)

    def answered(self, sent_at: float) -> None:
        """Note a good answer to the request sent at `sent_at`."""
        if sent_at in self.unanswered:
            self.unanswered.remove(sent_at)
            self.answers += 1

    def ended(self, sent_at: float) -> None:
        """Note the end of a request, if it was unanswered so far."""
        if sent_at in self.unanswered:
            self.unanswered.remove(sent_at)


@dataclass(slots=True)
class Ramps:
    """The ramps of one account, by the scope of the requests that they bound."""

    by_scope: dict[str, Ramp] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.by_scope)

    def begin(self, scope: str, now: float, load: int = 0) -> None:
        """Begin a ramp on an account that bears this load already: so many more than a fresh one it gets at once."""
        self.by_scope[scope] = Ramp(now, load)

    def covering(self, model: str | None, endpoint: str, now: float) -> list[Ramp]:
        """Return those that bound such a request."""
        return [
            ramp
            for scope, ramp in self.by_scope.items()
            if not ramp.is_over(now) and covers(scope, model, endpoint)
        ]

    def full_until(self, model: str | None, endpoint: str, now: float) -> float | None:
        """Return when such a request is admitted, answers or not; None: now."""
        moments = [ramp.full_until(now) for ramp in self.covering(model, endpoint, now)]
        return max((moment for moment in moments if moment is not None), default=None)

    def sent(self, model: str | None, endpoint: str, now: float) -> None:
        """Note a request that is sent, and forget the ramps that are over."""
        self.by_scope = {s: ramp for s, ramp in self.by_scope.items() if not ramp.is_over(now)}
        for ramp in self.covering(model, endpoint, now):
            ramp.unanswered.append(now)

    def answered(self, sent_at: float) -> None:
        for ramp in self.by_scope.values():
            ramp.answered(sent_at)

    def ended(self, sent_at: float) -> None:
        for ramp in self.by_scope.values():
            ramp.ended(sent_at)


@dataclass(slots=True)
class Patience:
    """How long one request waits for ramps and probes in all."""

    began_at: float | None = None
    """When it first waited."""

    def lasts(self, now: float) -> bool:
        return self.began_at is None or 0 <= now - self.began_at < LONGEST_WAIT

    def until(self, now: float) -> float:
        """Return when it ends, if it waits now."""
        return (now if self.began_at is None else self.began_at) + LONGEST_WAIT

    def wait(self, now: float) -> None:
        if self.began_at is None:
            self.began_at = now
