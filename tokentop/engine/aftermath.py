"""What is spent after an action has ended: each session that was stopped is watched for ten seconds. Pure.

The clock of a watch is monotonic seconds; the times of events are the wall clock's, as the logs have them. A
call counts when its answer ended after the action did. Spend that a log shows only in a total has no time and
is not counted; a call without its tokens on disk counts as a call of unknown size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import structs

from tokentop import text
from tokentop.nouns.actions import Action, After, Receipt
from tokentop.nouns.usage import Kind, Priced

WATCH_S = 10.0
READ_S = 2.0  # what was written within the ten seconds is read by then
KEPT = 64

_WATCHED = frozenset({"ended", "interrupted", "requested", "frozen", "still alive", "respawned"})
_FROZEN = "a frozen process writes no log; the response in flight may still be billed"


def is_watched(receipt: Receipt) -> bool:
    """Whether the action was to stop a session and did something to it."""
    return receipt.action is not Action.THAW and receipt.result in _WATCHED


class _Watch:
    __slots__ = ("calls", "ended_ms", "receipt", "unknown", "until_s")

    def __init__(self, receipt: Receipt, until_s: float, unknown: str) -> None:
        self.receipt = receipt
        self.ended_ms = receipt.at_ms + receipt.took_ms
        self.until_s = until_s
        self.unknown = unknown
        self.calls: dict[int, tuple[Priced, str]] = {}  # by event, so that a second telling counts once

    def after(self) -> After:
        calls = list(self.calls.values())
        costs = [priced.cost_nusd for priced, _ in calls]
        unsized = sum(priced.usage.kind is Kind.UNKNOWN for priced, _ in calls)
        unknown = self.unknown
        if unsized and not unknown:
            unknown = f"{text.plural(unsized, 'call')} began whose tokens are not on disk"
        return After(
            seconds=round(WATCH_S),
            calls=len(calls),
            tokens=sum(priced.usage.tokens.total for priced, _ in calls),
            cost_nusd=None if None in costs else sum(cost or 0 for cost in costs),
            where=", ".join(dict.fromkeys(where for _, where in calls)),
            unknown=unknown,
        )


class Aftermath:
    """The sessions that are watched now. `blind` names agents whose logs do not tell single calls, and why."""

    def __init__(self, blind: Mapping[str, str]) -> None:
        self._blind = dict(blind)
        self._watches: list[_Watch] = []
        self.finished: tuple[Receipt, ...] = ()  # the newest whose time is over, oldest first

    @property
    def watching(self) -> bool:
        return bool(self._watches)

    def begin(self, receipt: Receipt, now_s: float) -> None:
        """Watch the session of an action that has just ended."""
        if not is_watched(receipt):
            return
        unknown = self._blind.get(receipt.agent, "")
        if not receipt.session_id:
            unknown = "its session is not known"
        elif receipt.result == "frozen":
            unknown = unknown or _FROZEN
        self._watches.append(_Watch(receipt, now_s + WATCH_S + READ_S, unknown))

    def apply(self, priced: Priced, end_ms: int, above: Sequence[tuple[str, str]]) -> None:
        """Take an event. `above` = (agent, session id) of its session and of everything that it is below."""
        usage = priced.usage
        if usage.kind is Kind.HIDDEN:
            return
        for watch in self._watches:
            owner = (watch.receipt.agent, watch.receipt.session_id)
            if owner not in above or end_ms > watch.ended_ms + WATCH_S * 1000:
                continue
            if end_ms <= watch.ended_ms:
                watch.calls.pop(priced.id, None)
            elif usage.at_estimated:
                watch.unknown = watch.unknown or "its log does not tell when a call was made"
            else:
                watch.calls[priced.id] = (priced, _where(priced, owner, watch.ended_ms))

    def blinded(self, why: str) -> None:
        """The logs cannot be read for a while: nothing can be said of what is watched now."""
        for watch in self._watches:
            watch.unknown = watch.unknown or why

    def over(self, now_s: float) -> list[Receipt]:
        """The receipts whose time is over, each once, with what was spent."""
        due = [watch for watch in self._watches if now_s >= watch.until_s]
        if not due:
            return []
        self._watches = [watch for watch in self._watches if now_s < watch.until_s]
        told = [structs.replace(watch.receipt, after=watch.after()) for watch in due]
        self.finished = (*self.finished, *told)[-KEPT:]
        return told


def _where(priced: Priced, owner: tuple[str, str], ended_ms: int) -> str:
    usage = priced.usage
    under_way = 0 < usage.start_ms <= ended_ms
    what = "the call that was under way" if under_way else "a new call"
    if (usage.agent, usage.session_id) == owner:
        return what
    inside = usage.session_id.partition("/")[0] == owner[1]
    who = "a sub-agent" if inside else f"{usage.agent} {usage.session_id[:8]} below it"
    return f"{what} of {who}"


def in_words(after: After | None, money: Callable[[int], str] = text.money) -> str:
    """One line; "" for an action that was not watched to its end."""
    if after is None:
        return ""
    if after.tokens:
        cost = "no price" if after.cost_nusd is None else money(after.cost_nusd)
        more = f"; {after.unknown}" if after.unknown else ""
        return f"{after.tokens:,} tokens, {cost} in the {after.seconds} s after: {after.where}{more}"
    if after.unknown:
        return f"spend in the {after.seconds} s after is not known: {after.unknown}"
    return f"no token in its log in the {after.seconds} s after"
