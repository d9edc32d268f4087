"""What sessions brought, added up: commits, lines that stayed, tests, pull requests, and spend that brought nothing.

Sure and guessed stay apart; what is not known is counted, never taken for nothing. docs/outcome.md defines every figure.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from msgspec import Struct, field
from msgspec.structs import replace

from .work import Waste

RESUMED_MS = 3_600_000  # a call after so long a rest resumes a session
ENDED_MS = 24 * 3_600_000  # a session without a call for so long has ended


class Credited(Struct, frozen=True, gc=False, array_like=True):
    """A share of a change. Lines None = not known; `survived` None = not looked at, or not known."""

    session: int
    repo: int
    hash: str
    at_ms: int
    share: float
    sure: bool
    why: str
    counts: bool  # as a commit made: not a squash of others
    state: str  # kept, branch, gone
    added: int | None
    removed: int | None
    survived: int | None
    settled: bool  # it has had its days; else it is younger, and this is how it stands now
    files: tuple[int, ...]  # hashes of paths


class Done(Struct, frozen=True, gc=False, array_like=True):
    """A session with everything below it, in the time asked for."""

    key: int
    agent: str
    sid: str
    project: str
    model: str
    title: str
    last_ms: int
    spans: tuple[tuple[int, int], ...]
    cost_nusd: int
    unpriced_tokens: int
    unknown_calls: int
    estimated: bool
    in_repository: bool | None  # None = its folder is gone
    told: bool  # its log tells tools
    edits: int  # files that calls of editing tools changed
    tests: tuple[tuple[int, str], ...]
    pulls: tuple[tuple[int, str], ...]
    waste: tuple[Waste, ...]

    @property
    def priced(self) -> bool:
        return bool(self.cost_nusd) or not (self.unpriced_tokens or self.unknown_calls)

    @property
    def edited(self) -> bool:
        return self.edits > 0


class Pair(Struct, gc=False):
    """What is sure, and what is guessed on top of it."""

    sure: float = 0.0
    guessed: float = 0.0

    @property
    def both(self) -> float:
        return self.sure + self.guessed

    def add(self, amount: float, sure: bool) -> None:
        if sure:
            self.sure += amount
        else:
            self.guessed += amount


class Sum(Struct, gc=False):
    """Of a group. Money in nano-dollars; lines and commits may be shares."""

    key: tuple[str, ...]
    sessions: int = 0
    cost_nusd: int = 0
    unpriced_tokens: int = 0
    unknown_calls: int = 0
    estimated: bool = False
    priced: bool = False
    commits: Pair = field(default_factory=Pair)
    added: Pair = field(default_factory=Pair)
    removed: Pair = field(default_factory=Pair)
    survived: Pair = field(default_factory=Pair)
    young: float = 0.0  # of `survived`: lines that have not had their days
    waiting: float = 0.0  # added lines of which it is not known whether they survived
    unread: float = 0.0  # commits whose lines are not known
    files: set[int] = field(default_factory=set)  # hashes of repository and path
    edits: int = 0  # files that calls of editing tools changed, committed or not; each session's are its own
    pulls: set[str] = field(default_factory=set)
    passed: int = 0
    failed: int = 0
    untold: int = 0  # runs of tests of which the log does not tell how they ended
    unchanged: int = 0  # sessions that ended with nothing changed
    unchanged_nusd: int = 0
    unclear: int = 0  # ended sessions of which that is not known
    unclear_nusd: int = 0
    abandoned: int = 0
    abandoned_nusd: int = 0
    loops_nusd: int = 0
    retries_nusd: int = 0
    hidden_nusd: int = 0
    waiting_nusd: int = 0  # paid again because the cache had expired
    waste_unknown: int = 0  # pieces of waste without a known cost
    silent: int = (
        0  # sessions whose logs tell no tools: loops, retries, tests and edits of theirs are not known
    )

    @property
    def at_least(self) -> bool:
        """Whether the cost is more than this, by what has no price or no usage in the logs."""
        return bool(self.unpriced_tokens or self.unknown_calls)

    @property
    def per_commit_nusd(self) -> float | None:
        """None = there is no commit, or no cost is known."""
        return self.cost_nusd / self.commits.both if self.commits.both and self.priced else None

    @property
    def per_line_nusd(self) -> float | None:
        """Of a surviving line, as far as they were looked at; None = there is none, or no cost is known."""
        return self.cost_nusd / self.survived.both if self.survived.both and self.priced else None


class Whole(Struct, frozen=True):
    """What a session and everything below it brought in its whole life, as if it had ended, without what it cost."""

    from_ms: int  # of all that is in the sum
    to_ms: int
    worked: bool  # calls of it are known
    model: str
    sum: Sum


class Bought(Struct, frozen=True):
    """What one session brought, as it was last looked at. `days`: so long a line has to stay until it has survived."""

    sum: Sum
    days: int


Keys = Callable[[Done, int], tuple[str, ...]]


def add_up(
    done: Sequence[Done], shares: Sequence[Credited], keys: Keys, now_ms: int, *, with_money: bool = True
) -> list[Sum]:
    """The groups by their keys. `keys(session, at_ms)` names the group of something that a session did at a time.

    `with_money` False leaves cost and sessions out: a caller that groups by time adds them by itself.
    """
    sums: dict[tuple[str, ...], Sum] = {}

    def of(session: Done, at_ms: int) -> Sum:
        key = keys(session, at_ms)
        if key not in sums:
            sums[key] = Sum(key)
        return sums[key]

    by_key = {one.key: one for one in done}
    credited = {share.session for share in shares}
    for session in done:
        line = of(session, session.last_ms)
        _session(line, session, session.key in credited, now_ms, with_money=with_money)
        if session.tests or session.pulls or session.waste:
            _dated(session, of)
    for share in shares:
        if share.session in by_key:
            _share(of(by_key[share.session], share.at_ms), share)
    return [sums[key] for key in sorted(sums)]


def total(done: Sequence[Done], shares: Sequence[Credited], now_ms: int) -> Sum:
    """All of these sessions together."""
    sums = add_up(done, shares, lambda _session, _at: ("total",), now_ms)
    return sums[0] if sums else Sum(("total",))


_ADDED = (
    "sessions", "cost_nusd", "unpriced_tokens", "unknown_calls", "young", "waiting", "unread", "edits", "passed", "failed",
    "untold", "unchanged", "unchanged_nusd", "unclear", "unclear_nusd", "abandoned", "abandoned_nusd", "loops_nusd",
    "retries_nusd", "hidden_nusd", "waiting_nusd", "waste_unknown", "silent",
)  # fmt: skip
PAIRS = ("commits", "added", "removed", "survived")
_SURE, _GUESSED = attrgetter("sure"), attrgetter("guessed")


def merged(key: tuple[str, ...], sums: Sequence[Sum]) -> Sum:
    """One group of several, by columns: there are thousands."""
    if len(sums) == 1:
        return sums[0] if sums[0].key == key else replace(sums[0], key=key)
    found = Sum(key)
    for name in _ADDED:
        setattr(found, name, sum(map(attrgetter(name), sums)))
    for name in PAIRS:
        pairs = [*map(attrgetter(name), sums)]
        setattr(found, name, Pair(sum(map(_SURE, pairs)), sum(map(_GUESSED, pairs))))
    found.estimated = any(map(attrgetter("estimated"), sums))
    found.priced = any(map(attrgetter("priced"), sums))
    found.files = set().union(*map(attrgetter("files"), sums))
    found.pulls = set().union(*map(attrgetter("pulls"), sums))
    return found


_FOREVER_MS = 1 << 62


def whole_of(session: Done, shares: Sequence[Credited]) -> Whole:
    """`shares` are its own, of all times."""
    found = total([session], shares, _FOREVER_MS)
    found.sessions = found.cost_nusd = found.unpriced_tokens = found.unknown_calls = 0
    found.unchanged_nusd = found.unclear_nusd = found.abandoned_nusd = 0
    found.estimated = found.priced = False
    times = [
        *(at_ms for span in session.spans for at_ms in span),
        *(at_ms for at_ms, _ in (*session.tests, *session.pulls)),
        *(piece.at_ms for piece in session.waste),
        *(share.at_ms for share in shares),
    ]
    from_ms, to_ms = min(times, default=session.last_ms), max(times, default=session.last_ms)
    return Whole(from_ms, to_ms, bool(session.spans), session.model, found)


def ended_unchanged(session: Done, has_credit: bool, now_ms: int) -> bool | None:
    """Whether it ended with nothing changed; None = that is not known. One that may go on is False."""
    if has_credit or session.edited or now_ms - session.last_ms < ENDED_MS:
        return False
    if session.in_repository is None or not (session.told or session.in_repository):
        return None  # its folder is gone, or neither git nor its log can tell
    return True if session.told else None


def was_resumed(session: Done) -> bool:
    """Whether it went on after a rest."""
    return any(
        later[0] - earlier[1] >= RESUMED_MS
        for earlier, later in zip(session.spans, session.spans[1:], strict=False)
    )


def cost_of(session: Done) -> Sum:
    """What it cost, and nothing else."""
    found = Sum(())
    _cost(found, session)
    return found


def _cost(line: Sum, session: Done) -> None:
    line.sessions += 1
    line.cost_nusd += session.cost_nusd
    line.unpriced_tokens += session.unpriced_tokens
    line.unknown_calls += session.unknown_calls
    line.estimated = line.estimated or session.estimated
    line.priced = line.priced or session.priced


def _session(line: Sum, session: Done, has_credit: bool, now_ms: int, *, with_money: bool) -> None:
    if with_money:
        _cost(line, session)
    line.silent += not session.told
    line.edits += session.edits
    unchanged = ended_unchanged(session, has_credit, now_ms)
    if unchanged is None:
        line.unclear += 1
        line.unclear_nusd += session.cost_nusd
    elif unchanged:
        line.unchanged += 1
        line.unchanged_nusd += session.cost_nusd
        if not was_resumed(session):
            line.abandoned += 1
            line.abandoned_nusd += session.cost_nusd


def _dated(session: Done, of: Callable[[Done, int], Sum]) -> None:
    for at_ms, result in session.tests:
        line = of(session, at_ms)
        line.passed += result == "passed"
        line.failed += result == "failed"
        line.untold += result == "unknown"
    for at_ms, name in session.pulls:
        of(session, at_ms).pulls.add(name)
    for piece in session.waste:
        line = of(session, piece.at_ms)
        cost = piece.cost_nusd or 0
        line.waste_unknown += piece.cost_nusd is None
        line.loops_nusd += cost if piece.kind == "loop" else 0
        line.retries_nusd += cost if piece.kind == "retry" else 0
        line.hidden_nusd += cost if piece.kind == "hidden" else 0
        line.waiting_nusd += cost if piece.kind == "waiting" else 0


_SPREAD, _MASK = 0x9E3779B97F4A7C15, (1 << 63) - 1  # the same path in two repositories is two files


def _share(line: Sum, share: Credited) -> None:
    if share.counts:
        line.commits.add(share.share, share.sure)
    line.files.update([path ^ share.repo * _SPREAD & _MASK for path in share.files])
    if share.added is None or share.removed is None:
        line.unread += share.share
        return
    line.added.add(share.added * share.share, share.sure)
    line.removed.add(share.removed * share.share, share.sure)
    if share.survived is None:
        line.waiting += share.added * share.share
        return
    line.survived.add(share.survived * share.share, share.sure)
    if not share.settled:
        line.young += share.survived * share.share
