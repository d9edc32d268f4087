"""Carries the steps of rules out: tells, counts down, asks for a plan, has it done. Starts no thread, reads no clock.

The one way of an action is kept: a plan is made by the process room, refused or not, executed elsewhere and answered
with a receipt. What a rule must not touch is decided here, on the plan, before the countdown and again at its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from msgspec import Struct, structs

from tokentop.engine.judge import Hit, is_named
from tokentop.engine.policy import REASON, Due, Policies, row_key_of
from tokentop.text import clean, plural

from .nouns.actions import Action, Countdown, KillPlan, Notice, Receipt, receipt_of
from .nouns.picture import Row, Snapshot
from .settings.rulebook import ACTIONS, Rule, Rules, Step

TICK_MS = (
    2_000  # a countdown loses at most this between two pictures: sleep and a set clock do not shorten it
)
SETTLE_MS = 5_000  # what cannot be hit is looked at again for so long: the first pictures know no processes
GONE_MS = 10_000  # a condition that is away this long calls its countdown off
_KEPT = 16
_SAFE = frozenset({"exact", "strong"})
_ALLOWED_BELOW = "an agent below it is on the rule's allow list"
_WORDS = {Step.STOP: "stop the turn of", Step.FREEZE: "freeze", Step.TERMINATE: "terminate"}

Planner = Callable[[Row, Action], KillPlan]


class _Pending(Struct):
    """A countdown that runs. The target is the one of its first plan."""

    id: int
    due: Due
    plan: KillPlan
    left_ms: int
    held_ms: int  # when the condition was last seen to hold


class Enforcer:
    """What rules do to the machine. `plan` asks for a plan, `act` has it carried out, `keep` stores a receipt."""

    def __init__(
        self,
        rules: Rules,
        *,
        read_only: bool,
        plan: Planner,
        act: Callable[[KillPlan, str], None],
        keep: Callable[[Receipt], None],
        tell: Callable[[Notice], None],
    ) -> None:
        self._policies = Policies(rules)
        self._read_only = read_only
        self._plan, self._act, self._keep, self._tell = plan, act, keep, tell
        self._pending: dict[str, _Pending] = {}  # row key -> its countdown: one at a time
        self._running: dict[str, str] = {}  # row key -> the rule whose action is under way
        self._unfit: dict[tuple[str, str], int] = {}  # (rule, row key) -> since when its step is not possible
        self._ids = 0
        self._at_ms = 0
        self._rows: dict[str, Row] = {}
        self._notices: deque[Notice] = deque(maxlen=_KEPT)
        self._acted: deque[Receipt] = deque(maxlen=_KEPT)

    @property
    def news(self) -> tuple[int, int]:
        """Changes when there is something new to show."""
        return self._ids, len(self._pending)

    def remember(self, receipts: Iterable[Receipt], at_ms: int) -> None:
        """What earlier runs did: caps and rests go on."""
        self._policies.remember(receipts, at_ms)

    def dress(self, snapshot: Snapshot) -> Snapshot:
        """The picture with what rules are about to do, have told and have done."""
        if not (self._pending or self._notices or self._acted):
            return snapshot
        return structs.replace(
            snapshot,
            countdowns=tuple(_countdown(pending) for pending in self._pending.values()),
            notices=tuple(self._notices),
            acted=tuple(self._acted),
        )

    # ------------------------------------------------------------ one look

    def step(self, snapshot: Snapshot) -> None:
        """Take one picture: begin, go on with and end countdowns, tell what is to be told.

        Only the tokentop that writes the store acts, and only on complete figures.
        """
        passed_ms = max(0, min(snapshot.at_ms - self._at_ms, TICK_MS)) if self._at_ms else 0
        self._at_ms = snapshot.at_ms
        if snapshot.mode != "live" or snapshot.progress.reading:
            self._pending.clear()
            return
        due = self._policies.look(snapshot)
        self._rows = {row.key: row for row in snapshot.rows}
        counted = list(self._pending)
        for key in counted:
            self._count(key, passed_ms)
        keys = {(one.rule, one.hit.row.key) for one in due}
        self._unfit = {key: since_ms for key, since_ms in self._unfit.items() if key in keys}
        told: dict[str, list[Hit]] = {}
        for one in due:
            if one.step is Step.NOTIFY:
                told.setdefault(one.rule, []).append(one.hit)
                self._policies.rest(one.rule, one.hit.row.key, self._at_ms, next_step=True)
            elif one.hit.row.key not in counted and one.hit.row.key not in self._running:
                self._begin(one)
                counted.append(one.hit.row.key)
        for name, hits in told.items():
            more = f" (and {len(hits) - 1} more)" if len(hits) > 1 else ""
            self._say(name, f"{_who(hits[0].row)}{more}", hits[0].why, hits[0].row.key)

    def _begin(self, due: Due) -> None:
        """Plan first: what cannot be hit is only told, what can be is counted down."""
        rule, row = self._policies.rule(due.rule), due.hit.row
        under_way = sum(pending.due.rule == due.rule for pending in self._pending.values())
        if self._policies.capped(due.rule, self._at_ms, under_way):
            cap = plural(rule.per_hour, "action")
            self._not_done(due, f"the rule has used up its {cap} of the hour", next_step=False)
            return
        why = self._why_not(due)
        plan = None if why else self._plan(row, ACTIONS[due.step])
        if plan is not None:
            why = unfit(plan, row, rule)
        if plan is None or why:
            since_ms = self._unfit.setdefault((due.rule, row.key), self._at_ms)
            if not 0 <= self._at_ms - since_ms < SETTLE_MS:
                self._not_done(due, why, next_step=True)
        elif rule.dry_run:
            self._written(due, plan, f"would {due.step.value}", due.hit.why)
            self._policies.rest(due.rule, row.key, self._at_ms, next_step=True)
        else:
            self._ids += 1
            left_ms = round(rule.countdown_s * 1000)
            self._pending[row.key] = _Pending(self._ids, due, plan, left_ms, self._at_ms)
            seconds = round(rule.countdown_s)
            self._say(due.rule, f"in {seconds} s: {_WORDS[due.step]} {_who(row)}", due.hit.why, row.key)

    def _why_not(self, due: Due) -> str:
        if self._read_only:
            return "read-only: rules only tell"
        if not due.hit.sure:
            return "its status is only inferred"
        if any(self._is_below(row, due.hit.row.key) for row in self._allowed(due.rule)):
            return _ALLOWED_BELOW
        return ""

    def _allowed(self, name: str) -> list[Row]:
        allow = self._policies.rule(name).allow
        return [
            row for row in self._rows.values()
            if row.kind == "agent" and any(is_named(row.agent, row.session_id, row.project, row.cwd, one) for one in allow)
        ]  # fmt: skip

    def _is_below(self, row: Row, key: str) -> bool:
        while row.parent_key in self._rows:
            row = self._rows[row.parent_key]
            if row.key == key:
                return True
        return False

    def _count(self, key: str, passed_ms: int) -> None:
        pending = self._pending[key]
        due = pending.due
        pending.left_ms = max(0, pending.left_ms - passed_ms)
        hit = self._policies.hits.get((due.rule, key))
        if hit is None:
            if self._at_ms - pending.held_ms > GONE_MS or self._at_ms < pending.held_ms:
                del self._pending[key]
                self._say(due.rule, f"called off: {_who(due.hit.row)}", "the condition has gone", key)
            return
        pending.held_ms = self._at_ms
        pending.due = Due(due.rule, due.step, hit)
        if pending.left_ms == 0:
            del self._pending[key]
            self._strike(pending)

    def _strike(self, pending: _Pending) -> None:
        """The countdown is over: plan anew; what has changed meanwhile is not hit."""
        due, row = pending.due, pending.due.hit.row
        plan = self._plan(row, ACTIONS[due.step])
        why = self._why_not(due) or unfit(plan, row, self._policies.rule(due.rule))
        if not why and plan.target != pending.plan.target:
            why = "its process has changed since the countdown began"
        if why:
            self._not_done(due, why, next_step=True)
            return
        self._running[row.key] = due.rule
        self._policies.acts(due.rule, self._at_ms)
        self._act(plan, REASON + due.rule)

    # ------------------------------------------------------------ what came of it

    def cancel(self, number: int) -> bool:
        """A person calls a countdown off: its row rests, then the same step again."""
        for key, pending in list(self._pending.items()):
            if pending.id == number:
                del self._pending[key]
                self._written(pending.due, pending.plan, "cancelled", "called off during the countdown")
                self._policies.rest(pending.due.rule, key, self._at_ms, next_step=False)
                return True
        return False

    def finished(self, receipt: Receipt) -> None:
        """An action has been carried out. A receipt of a person's own action is not ours."""
        rule = receipt.reason.removeprefix(REASON)
        key = next(
            (key for key, name in self._running.items() if name == rule and _is_of(receipt, key)), None
        )
        if not receipt.reason.startswith(REASON) or key is None:
            return
        del self._running[key]
        self._acted.append(receipt)
        self._policies.rest(rule, key, self._at_ms, next_step=not self._policies.stays(rule, key))
        who = receipt.agent or "process"
        what = f"{receipt.action.value} {who} {receipt.pid or receipt.session_id[:8]}: {receipt.result}"
        self._say(rule, what, receipt.detail or f"resume: {receipt.resume or 'not possible'}", key)

    def _not_done(self, due: Due, why: str, *, next_step: bool) -> None:
        row = due.hit.row
        self._policies.rest(due.rule, row.key, self._at_ms, next_step=next_step)
        body = f"{due.hit.why}; not done: {why}"
        self._say(due.rule, f"{due.step.value} {_who(row)}", body, row.key)

    def _written(self, due: Due, plan: KillPlan, result: str, detail: str) -> None:
        receipt = without_signal(plan, REASON + due.rule, self._at_ms, result, detail)
        self._keep(receipt)
        self._acted.append(receipt)
        self._say(due.rule, f"{result}: {_who(due.hit.row)}", detail, due.hit.row.key)

    def _say(self, rule: str, title: str, body: str, row_key: str) -> None:
        self._ids += 1
        notice = Notice(self._ids, self._at_ms, rule, clean(title, 120), clean(body, 200), row_key)
        self._notices.append(notice)
        self._tell(notice)


def unfit(plan: KillPlan, row: Row, rule: Rule) -> str:
    """Why a rule must not carry this plan out, "" = it may. Stricter than what a person may do."""
    if plan.refusal:
        return plan.refusal
    if plan.shared_session_ids or plan.means.daemon is not None or plan.target is None:
        return "it lives in a shared daemon: a rule never touches it"
    if plan.confidence not in _SAFE or (row.session_id and row.confidence not in _SAFE):
        return "its process is only inferred: a rule never acts on it"
    if plan.action is Action.INTERRUPT and plan.rungs[:1] and plan.rungs[0][0] == "INT":
        return "a one-shot run ends with its turn: a rule does not stop it so"
    for planned in plan.tree:
        sid = planned.nested_session_id
        if sid and any(is_named("", sid, "", "", name) for name in rule.allow):
            return _ALLOWED_BELOW
    return ""


def without_signal(plan: KillPlan, reason: str, at_ms: int, result: str, detail: str) -> Receipt:
    """The receipt of a plan that was not carried out."""
    return receipt_of(plan, at_ms, reason, result, detail)


def _is_of(receipt: Receipt, row_key: str) -> bool:
    return row_key in (row_key_of(receipt), f"proc:{receipt.pid}:{receipt.start_ticks}")


def _who(row: Row) -> str:
    pid = f" (pid {row.pid})" if row.pid else ""
    return f"{row.agent} {clean(row.title or row.session_id[:8], 40)}{pid}"


def _countdown(pending: _Pending) -> Countdown:
    due, plan, row = pending.due, pending.plan, pending.due.hit.row
    return Countdown(
        id=pending.id, rule=due.rule, action=plan.action, row_key=row.key, agent=row.agent,
        session_id=row.session_id, title=row.title, project=row.project,
        pid=plan.target.pid if plan.target else 0,
        processes=1 if plan.action is Action.FREEZE else 1 + len(plan.tree) if plan.turn_only else max(1, len(plan.tree)),
        why=due.hit.why, left_ms=pending.left_ms,
    )  # fmt: skip
