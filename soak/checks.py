"""What NeuroLink promises under failing accounts, each a function of the evidence."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from math import inf

from neurolink_mitm.core.logs.rows import CLIENT_LEFT
from soak.answers import Ending
from soak.endings import ENDINGS
from soak.evidence import AttemptRow, Evidence, RequestRow, Tokens
from soak.load import Result

RSS_MB = 15.0
"""The level after the warm-up and that at the end differ by so much, however long the load is."""
_ROUNDING = 0.002
"""Seconds: rows have their times in milliseconds."""
_MAX_FAULTS = 20
"""Faults of a check that are printed."""

_INCOMPLETE = ("client_cancelled", "error")
"""Outcomes of requests that may end before all of upstream's response has arrived."""

_OUTCOMES: dict[Ending, tuple[str, ...]] = {
    "complete": ("complete",),
    "broken off": ("truncated", "error"),
    "error": ("error",),
    "left": ("client_cancelled", "complete", "truncated", "error"),
}
"""The outcomes that a row may have by ending; a client can leave as the last byte arrives."""

_NEVER_SENT = ("connect_error", "connect_timeout")
_PERHAPS_UNREAD = ("closed", "total_timeout", CLIENT_LEFT)
"""Attempts whose request upstream may not have read: it was ended, or the client left, before."""

_EXPECTED = (
    *("answered", "429", "529", "500", "401", "closed", "cut", "timeout", "empty_stream"),
    *("overloaded_error", "rate_limit_error", "connect_error", CLIENT_LEFT),
)
"""Kinds of attempts that a run must have."""


@dataclass(frozen=True)
class Verdict:
    """The result of a check. `faults` are the first `_MAX_FAULTS`."""

    check: str
    found: str
    met: bool
    faults: tuple[str, ...] = ()


Check = Callable[[Evidence], Verdict]


def verdicts(evidence: Evidence) -> list[Verdict]:
    return [check(evidence) for check in CHECKS]


def all_answered(evidence: Evidence) -> Verdict:
    bad = [result for result in evidence.results if result.ending == "fault"]
    faults = [f"request {result.request.number}: {result.detail}" for result in bad]
    counts = Counter(result.ending for result in evidence.results)
    found = ", ".join(f"{count} {ending}" for ending, count in counts.most_common())
    return _verdict("every answer is complete or a well-formed error", found, faults)


def none_hung(evidence: Evidence) -> Verdict:
    hung = [result for result in evidence.results if result.ending == "hung"]
    faults = [f"request {result.request.number}, status {result.status}" for result in hung]
    slowest = max((result.seconds for result in evidence.results), default=0.0)
    return _verdict("no request hangs", f"{len(hung)} hung, slowest {slowest:.1f} s", faults)


def none_while_cooling(evidence: Evidence) -> Verdict:
    """Check that no attempt begins in a cooldown of its account."""
    faults, windows = [], 0
    for name, rows in evidence.by_account.items():
        for cause in (row for row in rows if row.cooldown_ms):
            windows += 1
            faults += [
                f"{name} cooling after {cause.kind}, {cause.end:.3f} to {cause.cool_until:.3f}, "
                f"used at {row.start:.3f} by {row.request_id}"
                for row in _begun_within(rows, cause.end, cause.cool_until)
                if not _recovered(rows, cause, row)
            ]
    found = f"{windows} cooldowns, {len(faults)} times disregarded"
    return _verdict("no account is used while it is cooling", found, faults)


def _begun_within(rows: Iterable[AttemptRow], start: float, end: float) -> Iterator[AttemptRow]:
    return (row for row in rows if start + _ROUNDING < row.start < end - _ROUNDING)


def _recovered(rows: Sequence[AttemptRow], cause: AttemptRow, row: AttemptRow) -> bool:
    """Tell whether a probe was answered before `row`, after which a late failure extended the cooldown."""
    began = _began(rows, cause)
    return any(p.answered_well and began < p.start < row.start for p in rows)


def _began(rows: Iterable[AttemptRow], cause: AttemptRow) -> float:
    """Return the start of the cooldown of `cause`: its end, or that of an earlier failure."""
    earlier = (r.end for r in rows if r.cooldown_ms and cause.start < r.end < cause.end)
    return min(earlier, default=cause.end)


def probed_one_at_a_time(evidence: Evidence) -> Verdict:
    """Check that failed probes after a cooldown don't overlap. Good ones may: rows don't say when a
    head arrived."""
    faults, probes = [], 0
    for name, rows in evidence.by_account.items():
        for failed in _failed_probes(rows):
            probes += len(failed)
            faults += [
                f"{name}: {first.request_id} at {first.start:.3f} to {first.end:.3f} ({first.kind})"
                f" and {second.request_id} at {second.start:.3f}"
                for first, second in pairwise(failed)
                if second.start < first.end - _ROUNDING
            ]
    found = f"{probes} failed probes, {len(faults)} times a second one beside them"
    return _verdict("an account that was cooling is tried by one request first", found, faults)


def _failed_probes(rows: Sequence[AttemptRow]) -> Iterator[list[AttemptRow]]:
    """Yield the attempts after each cooldown, up to the next one or the first good response."""
    causes = sorted((row for row in rows if row.cooldown_ms), key=lambda row: row.end)
    for cause, following in zip_longest(causes, causes[1:]):
        well = (row.start for row in rows if row.answered_well and row.start > cause.end)
        until = min(well, default=inf)
        until = min(until, following.end) if following else until
        yield [row for row in rows if cause.cool_until - _ROUNDING < row.start < until]


def one_row_a_request(evidence: Evidence) -> Verdict:
    rows: defaultdict[str, list[RequestRow]] = defaultdict(list)
    for row in evidence.requests:
        rows[row.trace_id].append(row)
    faults = []
    for result in evidence.results:
        found = rows.pop(result.request.trace_id, [])
        if len(found) != 1 or not _agree(result, found[0]):
            ended = f"{result.ending}, status {result.status}, leaves {result.request.leaves}"
            outcomes = [(row.outcome, row.response_status) for row in found]
            faults.append(f"request {result.request.number} ({ended}): rows say {outcomes}")
    faults += [f"a row of trace {trace_id}, which nobody asked for" for trace_id in rows]
    count = f"{len(evidence.requests)} rows of {len(evidence.results)} requests"
    return _verdict("each request has one row, which says what the client saw", count, faults)


def _agree(result: Result, row: RequestRow) -> bool:
    outcomes = _OUTCOMES.get(result.ending, (row.outcome,))
    return row.outcome in outcomes and result.status in (None, row.response_status)


def one_row_an_attempt(evidence: Evidence) -> Verdict:
    counts = Counter(row.request_id for row in evidence.attempts)
    distinct = {(row.request_id, row.attempt) for row in evidence.attempts}
    faults = [
        f"{row.request_id}: {row.attempts} attempts, {counts[row.request_id]} rows"
        for row in evidence.requests
        if row.attempts != counts[row.request_id]
    ]
    if len(distinct) != len(evidence.attempts):
        faults.append(f"{len(evidence.attempts) - len(distinct)} attempts have a row too many")
    found = f"{len(evidence.attempts)} rows"
    return _verdict("each attempt that a request's row counts has one row", found, faults)


def rows_match_upstreams(evidence: Evidence) -> Verdict:
    """Match rows and ledgers by the response's request id, or by the client's number without a response.

    Attempts of `_PERHAPS_UNREAD` may be missing in a ledger. A reused connection that ends before any answer
    lets the attempt be made once more: then the ledger has two requests, of which one was not answered.
    """
    strange = {row.account for row in evidence.attempts} - evidence.ledgers.keys()
    faults = [f"rows of an account {name}, which there is not" for name in strange]
    received, unsent, unread, again = 0, 0, 0, 0
    for name, rows in evidence.by_account.items():
        ledger = evidence.ledgers[name]
        ids = Counter(row.upstream_request_id for row in rows if row.upstream_request_id)
        faults += [f"{name}: {n} rows for {id_}" for id_, n in ids.items() if n > 1]
        faults += [f"{name}: never received {id_}" for id_ in ids.keys() - ledger.keys()]
        blank = [row for row in rows if not row.upstream_request_id]
        sent = [row for row in blank if row.kind not in _NEVER_SENT]
        rest = {id_: number for id_, number in ledger.items() if id_ not in ids}
        repeats = _repeats(evidence, rows, sent, rest)
        faults += [f"{name}: {fault}" for fault in repeats.faults]
        missing = len(sent) - len(rest) + repeats.count
        if not 0 <= missing <= sum(row.kind in _PERHAPS_UNREAD for row in sent):
            kinds = dict(Counter(row.kind for row in sent))
            faults.append(f"{name}: {len(rest)} came whose answers have no row, {kinds} have")
        received += len(ledger)
        unsent += len(blank) - len(sent)
        unread += missing
        again += repeats.count
    found = (
        f"{received} received - {again} once more + {unsent} never connected"
        f" + {unread} broken off unread = {received - again + unsent + unread}"
        f" of {len(evidence.attempts)} rows"
    )
    return _verdict("attempt rows are what the upstreams received", found, faults)


@dataclass(frozen=True)
class _Repeats:
    """The requests that came once more than there are rows; `faults` are those that may not."""

    count: int
    faults: Sequence[str]


def _repeats(
    evidence: Evidence,
    rows: Sequence[AttemptRow],
    sent: Sequence[AttemptRow],
    rest: Mapping[str, int],
) -> _Repeats:
    """Compare the requests without a row, `rest`, with the rows without a response, `sent`, by number."""
    number_of = evidence.numbers.get
    attempts = Counter(number_of(row.request_id) for row in rows)
    blank = Counter(number_of(row.request_id) for row in sent)
    came = Counter(number for number in rest.values() if number)
    silent = Counter(number for id_, number in rest.items() if id_ not in evidence.answered)
    more = {number: came[number] - blank[number] for number in came if came[number] > blank[number]}
    faults = [
        f"request {number} came {came[number]} times ({silent[number]} unanswered),"
        f" {blank[number]} rows of {attempts[number]} attempts"
        for number, count in more.items()
        if count > min(silent[number], attempts[number])
    ]
    return _Repeats(sum(more.values()), faults)


def no_credential_astray(evidence: Evidence) -> Verdict:
    """Check the credentials that each upstream received, and the logins of tunnels.

    The tunnelled accounts have the same host and the same HTTP proxy: only the login tells their connections apart.
    """
    faults = [
        f"{name}'s upstream received the credential of {stray}"
        for name, strays in evidence.strays.items()
        for stray in strays
    ]
    opened = {name: n for (name, how), n in evidence.connects.items() if how == "open"}
    refused = sum(n for (_, how), n in evidence.connects.items() if how == "refused")
    faults += [f"{refused} CONNECTs without an account's login"] * bool(refused)
    through = sum(len(evidence.ledgers[name]) for name in opened)
    found = f"{through} requests through {sum(opened.values())} tunnels of {len(opened)} logins"
    return _verdict("no credential on another account's tunnel or upstream", found, faults)


def tokens_match_upstreams(evidence: Evidence) -> Verdict:
    """Check that a row has exactly the tokens of the response that the client got; of a response that
    ended early (`_INCOMPLETE`), earlier counts. Counts of failed attempts are in no row."""
    answers = {(row.request_id, row.attempt): row.upstream_request_id for row in evidence.attempts}
    faults, sums, short = [], Tokens(), 0
    unseen = set(evidence.usages)
    for row in evidence.requests:
        id_ = answers.get((row.request_id, row.attempts))
        unseen.discard(id_ or "")
        counts = [Tokens(), *evidence.usages.get(id_ or "", ())]
        sums = Tokens(*map(sum, zip(sums, row.tokens, strict=True)))
        if row.tokens == counts[-1]:
            continue
        short += 1
        if row.outcome not in _INCOMPLETE or row.tokens not in counts[_least(row) :]:
            faults.append(f"{row.request_id} ({row.outcome}): {row.tokens}, {id_}: {counts[-1]}")
    kinds = ", ".join(f"{count} {kind}" for kind, count in sums._asdict().items())
    found = (
        f"{kinds}; {short} answers were left before they had told all,"
        f" {len(unseen)} more failed unseen"
    )
    return _verdict("tokens are what the upstreams told, to the token", found, faults)


def _least(row: RequestRow) -> int:
    """Return how many counts the client had got at least: the first comes before any content."""
    return 0 if row.ttfb_ms is None or row.outcome == "error" else 1


def memory_is_back(evidence: Evidence) -> Verdict:
    before, after = evidence.warmed_up.rss_mb, evidence.at_end.rss_mb
    found = f"{before:.1f} MB warmed up, {after:.1f} at the end ({after - before:+.1f})"
    check = f"memory ends where it began, within {RSS_MB:.0f} MB"
    return Verdict(check, found, abs(after - before) <= RSS_MB)


def files_are_back(evidence: Evidence) -> Verdict:
    before, after = evidence.at_start.files, evidence.at_end.files
    met = after <= before
    found = f"{before} at the start, {after} at the end"
    still_open = () if met else tuple(evidence.open_at_end)
    return Verdict("open file descriptors end where they began", found, met, still_open)


def no_output(evidence: Evidence) -> Verdict:
    """Check the output of the proxy: with `--quiet` it prints faults of its own only."""
    lines = evidence.output.splitlines()
    return _verdict("the proxy reports no fault of its own", f"{len(lines)} lines", lines)


def ended_well(evidence: Evidence) -> Verdict:
    return Verdict("the proxy stops when told to", evidence.ended, evidence.ended == "exit code 0")


def all_kinds_came_up(evidence: Evidence) -> Verdict:
    seen = Counter(row.kind for row in evidence.attempts)
    faults = [f"no {kind}" for kind in _EXPECTED if not seen[kind]]
    faults += [f"no connection ended: {each}" for each in ENDINGS if not evidence.endings.get(each)]
    expected = len(_EXPECTED) + len(ENDINGS)
    found = f"{expected - len(faults)} of {expected} kinds"
    return _verdict("what the soak is for has come up", found, faults)


CHECKS: tuple[Check, ...] = (
    all_answered,
    none_hung,
    none_while_cooling,
    probed_one_at_a_time,
    one_row_a_request,
    one_row_an_attempt,
    rows_match_upstreams,
    no_credential_astray,
    tokens_match_upstreams,
    memory_is_back,
    files_are_back,
    no_output,
    ended_well,
    all_kinds_came_up,
)


def _verdict(check: str, found: str, faults: Sequence[str]) -> Verdict:
    return Verdict(check, found, not faults, tuple(faults[:_MAX_FAULTS]))
