"""What the live state remembers of one session. Pure.

Facts may come in any order (sub-agents and parents are different files): the newest timestamp decides,
not the order of arrival.
"""

from __future__ import annotations

from functools import lru_cache

from tokentop.engine.habits import Habits
from tokentop.nouns.processes import AgentProc
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Figures, Kind, Priced

_CALLS = 32  # open and ended calls that are remembered
_LOST = 4_096
_ACTIVE = 256
_SETTLES = frozenset({State.IDLE, State.DONE, State.ERROR, State.LIMITED})
_IN_TURN = frozenset({State.WORKING, State.TOOL, State.PERMISSION, State.INPUT, State.LIMITED})


_RESTS = frozenset({State.IDLE, State.DONE, State.INPUT})
# fmt: off
_EDITS = frozenset((  # letters only: apply_patch, ApplyPatch and apply-patch are one
    "applydiff", "applypatch", "create", "createfile", "deletefile", "edit", "editblock", "editfile",
    "editnotebook", "inserteditintofile", "insertcontent", "multiedit", "multireplacestringinfile",
    "notebookedit", "patch", "replace", "replaceinfile", "replacestringinfile", "rewrite", "searchandreplace",
    "searchreplace", "strreplace", "strreplacebasededittool", "strreplaceeditor", "updatefile", "write",
    "writefile", "writetofile",
))
# fmt: on


@lru_cache(maxsize=512)
def is_edit(tool: str) -> bool:
    """Whether a tool of this name changes files; of a shell nobody can say."""
    return "".join(c for c in tool.lower() if c.isalpha()) in _EDITS


def session_key(agent: str, session_id: str) -> str:
    """Return the row key of a session."""
    return f"{agent}:{session_id}"


def parent_key(session: Session) -> str:
    """Return the key of the parent session, "" for none. `<session>/<agent>` names its parent itself."""
    parent = session.parent_id or session.id.rpartition("/")[0]
    if not parent or parent == session.id:
        return ""
    return session_key(session.agent, parent)


def is_sub_agent(session: Session) -> bool:
    """Tell whether the session lives inside its parent's process."""
    if session.role is None:
        return bool(session.parent_id or "/" in session.id)
    return session.role is Role.SUB_AGENT


class Track:
    """One session: as stored, its process, and what its newest records say."""

    __slots__ = (
        "_active",
        "_calls",
        "_ended",
        "_limited",
        "_lost",
        "_rested_ms",
        "_settled_ms",
        "_success_ms",
        "_tool_ms",
        "context",
        "edit_ms",
        "ended_ms",
        "habits",
        "host",
        "key",
        "last",
        "last_tool",
        "loaded",
        "model",
        "model_ms",
        "nested_in",
        "order",
        "own",
        "owns_proc",
        "parent",
        "proc",
        "record_ms",
        "seen_ms",
        "session",
        "unpriced_model",
        "version",
    )

    def __init__(self, key: str, session: Session, order: int) -> None:
        self.key = key
        self.session = session
        self.order = order
        self.parent = ""
        self.own = Figures()
        self.loaded = False  # the store or a fact has told of it; else only a process names it
        self.proc: AgentProc | None = None  # its own process, else the daemon it lives in
        self.host: AgentProc | None = None  # the daemon, also where a client process has the session open
        self.owns_proc = False
        self.ended_ms = 0
        self.nested_in = ""
        self.context: Context | None = None
        self.habits = Habits()
        self.last: Activity | None = None
        self.last_tool = ""
        self._tool_ms = 0
        self.record_ms = 0
        self.edit_ms = 0  # newest call of an editing tool
        self._rested_ms = 0  # newest record of a rest
        self._active: list[int] = []  # records of work after it
        self.seen_ms = 0  # oldest activity that is known
        self.model = ""
        self.model_ms = 0
        self.unpriced_model = ""
        self.version = 0  # grows with each record
        self._calls: dict[str, Activity] = {}
        self._ended: dict[str, None] = {}
        self._lost: dict[str, None] = {}
        self._settled_ms = 0
        self._limited: Activity | None = None
        self._success_ms = 0

    @property
    def sub_agent(self) -> bool:
        return is_sub_agent(self.session)

    def grew(self, at_ms: int) -> None:
        self.record_ms = max(self.record_ms, at_ms)
        self.version += 1

    def on_usage(self, priced: Priced, end_ms: int) -> None:
        self.loaded = True
        self.grew(end_ms)
        usage = priced.usage
        if usage.kind is Kind.UNKNOWN:
            return
        self._success_ms = max(self._success_ms, end_ms)
        if usage.model and end_ms >= self.model_ms:
            self.model, self.model_ms = usage.model, end_ms
            self.unpriced_model = usage.model if priced.cost_nusd is None else ""

    def on_activity(self, activity: Activity) -> None:
        self.loaded = True
        at_ms = activity.at_ms
        self.grew(at_ms)
        self._follow_calls(activity)
        if activity.state is State.LIMITED:
            if self._limited is None or at_ms >= self._limited.at_ms:
                self._limited = activity
        elif activity.state is State.TOOL or activity.ends_call:
            self._success_ms = max(self._success_ms, at_ms)
        self.seen_ms = min(self.seen_ms or at_ms, at_ms)
        self._follow_rest(activity)
        if activity.state is State.TOOL:
            if activity.tool and at_ms >= self._tool_ms:
                self.last_tool, self._tool_ms = activity.tool, at_ms
            if is_edit(activity.tool):
                self.edit_ms = max(self.edit_ms, at_ms)
        if self.last is None or at_ms >= self.last.at_ms:
            self.last = activity
            self.habits.on_activity(activity)

    def _follow_rest(self, activity: Activity) -> None:
        """Records come in any order, so those of work are kept until a newer rest is seen."""
        at_ms = activity.at_ms
        if activity.state in _RESTS:
            if at_ms > self._rested_ms:
                self._rested_ms = at_ms
                self._active = [one for one in self._active if one > at_ms]
        elif at_ms > self._rested_ms:
            self._active.append(at_ms)
            if len(self._active) > _ACTIVE:
                self._active = sorted(self._active)[::2]  # the oldest stays

    @property
    def resumed_ms(self) -> int:
        """When the present stretch of work began, 0 = no rest has been seen."""
        return min(self._active, default=0) if self._rested_ms else 0

    @property
    def turn_ms(self) -> int:
        """When the turn began that runs, at the earliest: some logs tell of it at its end only. 0 = not known."""
        return self.resumed_ms or self._rested_ms or self.seen_ms

    def _follow_calls(self, activity: Activity) -> None:
        """An ended call settles those that started before it: a retry writes a start of its own."""
        if activity.state in _SETTLES:
            self._settled_ms = max(self._settled_ms, activity.at_ms)
        call, ended, lost = activity.call_id, activity.ends_call, activity.lost_call
        if ended:
            self._ended[ended] = None
            started = self._calls.pop(ended, None)
            if started is not None:
                self._settled_ms = max(self._settled_ms, started.at_ms)
        if lost and len(self._lost) < _LOST:
            self._lost[lost] = None
            self._calls.pop(lost, None)
        if call in self._ended:
            self._settled_ms = max(self._settled_ms, activity.at_ms)
        elif call and call not in self._lost:
            self._calls[call] = activity
        for kept in (self._calls, self._ended):
            while len(kept) > _CALLS:
                del kept[next(iter(kept))]

    def open_calls(self) -> list[Activity]:
        """Return the calls that started and have no end, oldest first."""
        calls = [c for c in self._calls.values() if c.at_ms > self._settled_ms]
        return sorted(calls, key=lambda c: c.at_ms) if len(calls) > 1 else calls

    def in_turn(self, since_ms: int) -> bool:
        """Whether the log has a turn open that began or went on after `since_ms`."""
        last = self.last
        return last is not None and last.state in _IN_TURN and last.at_ms >= since_ms

    def limited(self) -> Activity | None:
        """Return the refusal that no successful call has followed."""
        if self._limited is not None and self._limited.at_ms >= self._success_ms:
            return self._limited
        return None

    def lost_calls(self, done: bool) -> int:
        """Count calls that will never show their usage: cut off, or still open when the session was done."""
        lost = sum(call not in self._ended for call in self._lost)
        return max(self.own.unknown_calls, lost + (len(self.open_calls()) if done else 0))
