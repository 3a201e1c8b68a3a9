"""The requests in flight as the page Now shows them: a line each, with a bar of where its time went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from neurolink_mitm.core.logs.console import printable
from neurolink_mitm.core.logs.timestamps import seconds
from neurolink_mitm.dashboard.rates import Rate, Report
from neurolink_mitm.dashboard.render import ms

STATES: Mapping[str, tuple[str, str]] = {
    "waiting": ("waiting", "idle"),
    "held": ("held", "warn"),
    "connecting": ("connecting", "busy"),
    "sent": ("sent", "busy"),
    "streaming": ("streaming", "good"),
}
"""The word for a state, with the kind of its badge."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a request's time, in milliseconds since its arrival; it goes on where `end` is None."""

    kind: str
    """`queue`, `held`, `failed`, `wait` (for the first byte) or `stream`."""
    start: int
    end: int | None
    account: str | None = None
    attempt: int | None = None
    reason: str | None = None
    """Why the attempt failed."""

    @property
    def words(self) -> str:
        """The segment for those who can't see it; what goes on has no duration, as that would change all the time."""
        took = "" if self.end is None else ms(self.end - self.start)
        match self.kind:
            case "failed":
                return (
                    f"attempt {self.attempt} on {self.account} failed after {took}: {self.reason}"
                )
            case "wait" if self.end is not None:
                return f"attempt {self.attempt} on {self.account}, first byte after {took}"
            case "wait":
                return f"attempt {self.attempt} on {self.account}, no answer yet"
            case "stream":
                return "the response comes"
            case "held":
                return f"held for {took}" if took else "held until an account recovers"
        return f"waited {took}" if took else "waits"


@dataclass(frozen=True, slots=True)
class Line:
    """A request. `account` is the one that it is on, `left` are those that it has left after failures."""

    id: str
    model: str | None
    path: str | None
    state: tuple[str, str]
    account: str | None
    left: Sequence[Segment]
    attempt: int
    since: str
    held_until: str | None
    held_for: str | None
    back_at: str | None
    client: str | None
    session: str | None
    agent: str | None
    segments: Sequence[Segment]
    rate: Rate | None

    @property
    def story(self) -> str:
        """The bar in words."""
        return "; ".join(segment.words for segment in self.segments)


def lines(report: Report, rates: Mapping[str, Rate]) -> list[Line]:
    """Return a line for each request of a report of those in flight, the oldest first."""
    held = {each["requestId"]: each for each in report["held"]}
    return [
        _line(each, held.get(each["requestId"]), rates.get(each["requestId"]))
        for each in report["requests"]
    ]


def _line(request: Report, held: Report | None, rate: Rate | None) -> Line:
    parts = tuple(segments(request))
    target = (held or {}).get("account")
    return Line(
        id=request["requestId"],
        model=_name(request["model"]),
        path=_name(request["path"]) if request["path"] != "/v1/messages" else None,
        state=STATES.get(request["state"], (request["state"], "idle")),
        account=_served_by(request),
        left=tuple(each for each in parts if each.kind == "failed"),
        attempt=request["attempt"],
        since=request["since"],
        held_until=request["heldUntil"],
        held_for=str(target).partition(":")[2] or target if target else None,
        back_at=(held or {}).get("backAt"),
        client=_name(request["client"]),
        session=_name(request["session"]),
        agent=_name(request["agent"]),
        segments=parts,
        rate=rate if request["state"] == "streaming" else None,
    )


def _served_by(request: Report) -> str | None:
    """Return the account of the attempt that goes on."""
    latest = request["attempts"][-1] if request["attempts"] else None
    return account_of(latest) if latest and latest["errorType"] is None else None


def account_of(attempt: Report) -> str:
    """Return the account of an attempt; for the caller's own credentials there is none."""
    return attempt["account"] or "the caller's own login"


def segments(request: Report) -> Iterator[Segment]:
    """Yield where the time of a request went. A clock that was set back makes pieces without length, no others."""
    began, at = seconds(request["since"]), 0

    def since_arrival(moment: str) -> int:
        return max(at, round((seconds(moment) - began) * 1000))

    for attempt in request["attempts"]:
        start = since_arrival(attempt["since"])
        if start > at:
            yield _gap(at, start, request)
        at = start
        account, number = account_of(attempt), attempt["number"]
        if attempt["errorType"] is not None:
            end = since_arrival(attempt["endedAt"] or attempt["since"])
            reason = printable(attempt["reason"] or attempt["errorType"])
            yield Segment("failed", at, end, account, number, reason)
            at = end
        elif request["firstByteAt"]:
            first_byte = since_arrival(request["firstByteAt"])
            yield Segment("wait", at, first_byte, account, number)
            yield Segment("stream", first_byte, None, account, number)
            return
        else:
            yield Segment("wait", at, None, account, number)
            return
    yield Segment("held" if request["state"] == "held" else "queue", at, None)


def _gap(start: int, end: int, request: Report) -> Segment:
    """Return the time between two attempts, or before the first: it was held if it was held for most of that."""
    held = request["heldMs"] > (end - start) / 2
    return Segment("held" if held else "queue", start, end)


def _name(text: str | None) -> str | None:
    return printable(text) if text else None
