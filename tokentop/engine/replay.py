"""What rules would have done on past events. Pure.

The same judging as live, on pictures of one minute that are rebuilt from the store's events: cost so far, burn rate,
spend of the day. What the store does not keep (status, tools, processes, fill of the context) cannot be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from msgspec import Struct, structs

from tokentop.engine.days import day_bounds
from tokentop.engine.policy import Due, Policies
from tokentop.engine.rates import Rates
from tokentop.engine.track import is_sub_agent, parent_key, session_key
from tokentop.nouns.picture import Row, Snapshot, Status
from tokentop.nouns.sessions import Session, State
from tokentop.nouns.usage import Figures, Priced
from tokentop.settings.rulebook import Rules, Step

MINUTE_MS = 60_000
_TAIL = 3  # minutes after the last event in which a burn rate still falls

NOT_REPLAYED = {
    "no_progress": "the store keeps no tool calls, so it cannot tell when a file changed",
    "loop": "the store keeps no tool calls",
    "waiting": "the store keeps no status",
    "idle": "the store keeps no status and no processes",
    "orphan": "the store keeps no processes",
    "context": "the store keeps only the newest fill of a context and no compactions",
}


class Would(Struct, frozen=True):
    """One step that a rule would have taken. `later_nusd`: what its session cost after that."""

    at_ms: int
    rule: str
    on: bool
    step: Step
    agent: str
    session_id: str
    title: str
    project: str
    why: str
    note: str
    later_nusd: int


class Past(Struct, frozen=True):
    """What is known of the past: sessions by row key with their sums, and events by time."""

    sessions: Mapping[str, tuple[Session, Figures, str]]  # (session, own sums of all time, project)
    events: list[Priced]


class _Root(Struct):
    """One tree of sessions, as far as the replay has come."""

    session: Session
    project: str
    cost_nusd: int = 0
    last_ms: int = 0
    ended: bool = False  # a rule would have terminated it


def replay(rules: Rules, past: Past, zone: tzinfo) -> list[Would]:
    """Return the steps by time. Rules that are off are replayed as if they were on, and marked."""
    return _Replay(rules, past, zone).run()


class _Replay:
    def __init__(self, rules: Rules, past: Past, zone: tzinfo) -> None:
        self._rules, self._past, self._zone = rules, past, zone
        known = {name: structs.replace(rule, on=name not in NOT_REPLAYED) for name, rule in rules.items()}
        self._policies = Policies(structs.replace(rules, **known))
        self._roots: dict[str, _Root] = {}
        self._root_of: dict[str, str] = {}
        self._busy: dict[str, _Root] = {}  # those that spent within the last minutes
        self._rates = Rates()
        self._today = 0
        self._day_ends_ms = 0
        self._found: list[Would] = []

    def run(self) -> list[Would]:
        for key, (_session, own, _) in self._past.sessions.items():
            self._root(key).cost_nusd += own.cost_nusd
        for event in self._past.events:  # what was spent before the first of them
            self._root(_key(event)).cost_nusd -= event.cost_nusd or 0
        minute_ms = 0
        for event in self._past.events:
            minute_ms = self._pass_time(minute_ms, event.usage.at_ms)
            self._count(event)
        self._pass_time(minute_ms, minute_ms + _TAIL * MINUTE_MS)
        return [
            structs.replace(one, later_nusd=self._roots[session_key(one.agent, one.session_id)].cost_nusd - one.later_nusd)
            for one in self._found
        ]  # fmt: skip

    def _pass_time(self, minute_ms: int, until_ms: int) -> int:
        """Look at every minute before `until_ms`; where nothing happens for long, skip ahead."""
        end_ms = until_ms // MINUTE_MS * MINUTE_MS
        last_ms = min(end_ms, minute_ms + _TAIL * MINUTE_MS) if minute_ms else 0
        while 0 < minute_ms < last_ms:
            minute_ms += MINUTE_MS
            self._look(minute_ms)
        return max(minute_ms, end_ms)

    def _root(self, key: str) -> _Root:
        root_key = self._root_of.get(key) or self._climb(key)
        self._root_of[key] = root_key
        if root_key not in self._roots:
            known = self._past.sessions.get(root_key)
            agent, _, sid = root_key.partition(":")
            session, project = (known[0], known[2]) if known else (Session(agent, sid), "")
            self._roots[root_key] = _Root(session, project)
        return self._roots[root_key]

    def _climb(self, key: str) -> str:
        seen = {key}
        while (known := self._past.sessions.get(key)) is not None and is_sub_agent(known[0]):
            above = parent_key(known[0])
            if not above or above in seen:
                break
            seen.add(above)
            key = above
        return key

    def _count(self, event: Priced) -> None:
        at_ms, cost = event.usage.at_ms, event.cost_nusd or 0
        if at_ms >= self._day_ends_ms:
            _, self._day_ends_ms, _ = day_bounds(at_ms, self._zone)
            self._today = 0
        root = self._root(_key(event))
        root.cost_nusd += cost
        root.last_ms = max(root.last_ms, at_ms + event.usage.duration_ms)
        if not root.ended:
            self._busy[self._root_of[_key(event)]] = root
        self._today += cost
        self._rates.advance(max(self._rates.now_ms, at_ms))
        self._rates.add(event, self._root_of[_key(event)])

    def _look(self, at_ms: int) -> None:
        self._rates.advance(at_ms)
        for key, root in list(self._busy.items()):
            if root.ended or not 0 <= at_ms - root.last_ms <= _TAIL * MINUTE_MS:
                del self._busy[key]
        rows = tuple(
            _row(key, root, self._rates.of(key).burn_nusd_per_h, at_ms) for key, root in self._busy.items()
        )
        snapshot = Snapshot(0, at_ms, rows, today=Figures(cost_nusd=self._today))
        for due in self._policies.look(snapshot):
            self._take(due, at_ms)

    def _take(self, due: Due, at_ms: int) -> None:
        row, note = due.hit.row, ""
        root = self._roots[row.key]
        if root.ended:
            return
        repeats = self._policies.stays(due.rule, row.key)
        if due.step is not Step.NOTIFY:
            if self._policies.capped(due.rule, at_ms):
                note, repeats = "only told: its actions of the hour were used up", True
            else:
                self._policies.acts(due.rule, at_ms)
                root.ended = due.step is Step.TERMINATE
        self._policies.rest(due.rule, row.key, at_ms, next_step=not repeats)
        would = Would(
            at_ms, due.rule, getattr(self._rules, due.rule).on, due.step, row.agent, row.session_id, row.title,
            row.project, due.hit.why, note, root.cost_nusd,
        )  # fmt: skip
        self._found.append(would)


def _key(event: Priced) -> str:
    return session_key(event.usage.agent, event.usage.session_id)


def _row(key: str, root: _Root, burn_nusd_per_h: int, at_ms: int) -> Row:
    session = root.session
    figures = Figures(cost_nusd=root.cost_nusd, burn_nusd_per_h=burn_nusd_per_h)
    state = State.WORKING if at_ms - root.last_ms <= MINUTE_MS else State.UNKNOWN
    return Row(
        key=key, parent_key="", depth=0, kind="agent", agent=session.agent, session_id=session.id,
        title=session.title, project=root.project, cwd=session.cwd, branch=session.branch, model=session.model,
        status=Status(state), own=figures, tree=figures, spark=(), context_used=None, context_window=0,
        started_ms=session.first_ms, last_ms=root.last_ms,
    )  # fmt: skip
