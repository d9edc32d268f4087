"""Calls that agents told by telemetry, until their logs had the chance to tell them too. Pure: times are arguments.

A log wins: what it tells is counted from it, and only the duration is taken from telemetry where the log has none. A
call that no log has told when its time is over is counted from telemetry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import structs

from tokentop.nouns.facts import Fact
from tokentop.nouns.telemetry import Heard, Tally
from tokentop.nouns.usage import Kind, Tokens, Usage

from .sums import Sums

HOLD_S = (
    20.0  # a log is read within a second of its last byte; some agents write it when the tools have ended
)
SAME_MS = 15_000  # a log and telemetry tell one call at times that are no further apart
MAX_LOGGED = 4_000  # newest calls of logs that are remembered
MAX_WAITING = 20_000

_Session = tuple[str, str]
_Counts = tuple[_Session, Tokens]


class HeardCalls:
    """Calls that wait, and the newest calls of logs that no telemetry has told yet."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self._waiting: dict[_Session, dict[str, tuple[Usage, float]]] = {}  # by key: when its time is over
        self._held = 0
        self._done: dict[str, None] = {}  # keys of calls that were settled: an exporter may send again
        self._logged: dict[int, Usage] = {}  # by number, oldest first
        self._by_request: dict[tuple[str, str], int] = {}
        self._by_counts: dict[_Counts, list[int]] = {}
        self._number = 0
        self._better: list[Usage] = []
        self._sums = Sums(self.tally.tokens)
        self.news = False  # the tally has changed; whoever keeps it sets it back

    @property
    def full(self) -> bool:
        return self._held >= MAX_WAITING

    def hear(self, heard: Heard, now_s: float, now_ms: int) -> None:
        """Take what one request has told."""
        tally, self.news = self.tally, True
        tally.since_ms = tally.since_ms or now_ms
        tally.at_ms = max(tally.at_ms, now_ms)
        tally.records += heard.records
        tally.rejected += heard.rejected
        self._sums.add(heard.counters)
        for call in heard.calls:
            waiting = self._waiting.get(_session(call), {})
            if call.key in waiting or call.key in self._done:
                continue
            _grow(self.tally.calls, call.agent)
            logged = self._find_logged(call)
            if logged is None:
                self._waiting.setdefault(_session(call), waiting)[call.key] = call, now_s + HOLD_S
                self._held += 1
            else:
                self._settle(call, logged)

    def read(self, facts: Iterable[Fact]) -> None:
        """Take what logs have told."""
        for fact in facts:
            if type(fact) is not Usage or fact.kind is not Kind.RESPONSE:
                continue
            call = self._find_waiting(fact)
            if call is not None:
                self._settle(call, fact)
            else:
                self._remember(fact)

    def due(self, now_s: float) -> list[Usage]:
        """The calls whose time is over; they stay until `settled`."""
        return [call for held in self._waiting.values() for call, due_s in held.values() if due_s <= now_s]

    def settled(self, calls: Sequence[Usage], *, logged: bool) -> None:
        """These were found in the store (`logged`) or are counted from telemetry now."""
        for call in calls:
            self._finish(call)
            self.news = True
            if logged:
                _grow(self.tally.logged, call.agent)

    def better(self) -> list[Usage]:
        """Records of logs, with the duration that only telemetry told; each once."""
        found, self._better = self._better, []
        return found

    # ------------------------------------------------------------ matching

    def _settle(self, call: Usage, logged: Usage) -> None:
        self._finish(call)
        self.news = True
        _grow(self.tally.logged, call.agent)
        if call.duration_ms and not logged.duration_ms and not logged.at_estimated:
            start_ms = call.at_ms - call.duration_ms
            self._better.append(structs.replace(logged, start_ms=start_ms, duration_ms=call.duration_ms))

    def _finish(self, call: Usage) -> None:
        session = _session(call)
        if self._waiting.get(session, {}).pop(call.key, None) is not None:
            self._held -= 1
            if not self._waiting[session]:
                del self._waiting[session]
        self._done[call.key] = None
        if len(self._done) > MAX_WAITING:
            del self._done[next(iter(self._done))]

    def _find_waiting(self, logged: Usage) -> Usage | None:
        held = self._waiting.get(_session(logged))
        return next((call for call, _ in held.values() if _same(call, logged)), None) if held else None

    def _find_logged(self, call: Usage) -> Usage | None:
        numbers = self._by_counts.get(_counts(call), [])
        named = self._by_request.get((call.agent, call.request_id)) if call.request_id else None
        for number in ([named] if named is not None else []) + numbers:
            logged = self._logged[number]
            if _same(call, logged):
                self._forget(number)
                return logged
        return None

    def _remember(self, logged: Usage) -> None:
        self._number += 1
        self._logged[self._number] = logged
        self._by_counts.setdefault(_counts(logged), []).append(self._number)
        if logged.request_id:
            self._by_request[logged.agent, logged.request_id] = self._number
        if len(self._logged) > MAX_LOGGED:
            self._forget(next(iter(self._logged)))

    def _forget(self, number: int) -> None:
        logged = self._logged.pop(number)
        counts = _counts(logged)
        self._by_counts[counts].remove(number)
        if not self._by_counts[counts]:
            del self._by_counts[counts]
        if self._by_request.get((logged.agent, logged.request_id)) == number:
            del self._by_request[logged.agent, logged.request_id]


def _same(call: Usage, logged: Usage) -> bool:
    if call.agent != logged.agent:
        return False
    if call.key == logged.key:
        return True
    if call.request_id and logged.request_id:
        return call.request_id == logged.request_id
    return _counts(call) == _counts(logged) and abs(call.at_ms - logged.at_ms) <= SAME_MS


def _session(usage: Usage) -> _Session:
    """In telemetry the calls of sub-agents bear the id of the session that they are filed under."""
    return usage.agent, usage.session_id.partition("/")[0]


def _counts(usage: Usage) -> _Counts:
    return _session(usage), structs.replace(
        usage.tokens, reasoning=0
    )  # not all telemetry tells the reasoning


def _grow(counts: dict[str, int], agent: str) -> None:
    counts[agent] = counts.get(agent, 0) + 1
