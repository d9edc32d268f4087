"""What a session's tool calls and context say over time: the same call again, compactions.

Pure. Told by `Activity` and `Context` facts since tokentop looks; what was before is not known.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache

from tokentop.nouns.sessions import Activity, Context, State

HOUR_MS = 3_600_000
_FALL = 0.6  # a context this much smaller than before was compacted
_TURN_ENDS = frozenset({State.IDLE, State.DONE})
_LEAST_CONTEXT = 20_000  # below, a smaller context is no compaction

# Tools that change a file, by the names that the agents log, in small letters without _ and -.
_CHANGES = frozenset({
    "edit", "multiedit", "write", "notebookedit", "applypatch", "patch", "strreplace",
    "strreplaceeditor", "strreplacebasededittool", "writefile", "editfile", "createfile", "replace",
    "replaceinfile", "writetofile", "create", "insert", "insertcontent", "deletefile", "applydiff",
    "fswrite", "editexistingfile", "createnewfile", "singlefindandreplace", "multieditfile",
    "searchreplace", "filechange", "update",
})  # fmt: skip


def changes_files(activity: Activity) -> bool:
    """Whether this tool call edits a file, as far as its name tells."""
    return _changes_files(activity.tool)


@lru_cache(maxsize=512)
def _changes_files(tool: str) -> bool:
    name = tool.lower().replace("_", "").replace("-", "").rpartition(".")[2]
    return name in _CHANGES


class Habits:
    """Of one session."""

    __slots__ = (
        "_call",
        "_call_ms",
        "_falls",
        "_used",
        "all_compactions",
        "compacted_ms",
        "same_calls",
        "seen_ms",
    )

    def __init__(self) -> None:
        self.same_calls = 0  # in a row, the present one included; 0 = no argument is logged
        self._call = ("", "")
        self._call_ms = 0
        self._used = 0
        self._falls: deque[int] = deque(maxlen=32)
        self.all_compactions = 0  # since `seen_ms`
        self.compacted_ms = 0  # the newest one, 0 = none
        self.seen_ms = 0  # the first context that was told, 0 = none

    @property
    def same_call(self) -> str:
        return " ".join(self._call) if self.same_calls else ""

    def on_activity(self, activity: Activity) -> None:
        """Take a record that is not older than the last; a call that is read twice counts once."""
        if activity.state in _TURN_ENDS:
            self._call, self.same_calls = ("", ""), 0
        if activity.state is not State.TOOL or activity.at_ms <= self._call_ms:
            return
        if changes_files(activity):
            self._call, self.same_calls = ("", ""), 0  # the same file edited again is no loop
        elif not activity.detail:
            self._call, self.same_calls = ("", ""), 0  # its argument is not logged
        elif (activity.tool, activity.detail) == self._call:
            self.same_calls += 1
        else:
            self._call, self.same_calls = (activity.tool, activity.detail), 1
        self._call_ms = activity.at_ms

    def on_context(self, context: Context) -> None:
        if self._used >= _LEAST_CONTEXT and context.used < _FALL * self._used:
            self._falls.append(context.at_ms)
            self.all_compactions += 1
            self.compacted_ms = max(self.compacted_ms, context.at_ms)
        self.seen_ms = self.seen_ms or context.at_ms
        self._used = context.used

    def compactions(self, at_ms: int) -> int:
        """Compactions within the last hour."""
        return sum(0 <= at_ms - fall_ms <= HOUR_MS for fall_ms in self._falls)
