"""Messages of OpenCode and Kilo that a fork repeats: its parent counts them. Pure."""

from __future__ import annotations

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Role, Session

from . import _opencode_records as records
from ._opencode_records import About, Message
from ._opencode_rows import DATA, V2, Row
from ._opencode_sessions import Sessions
from .base import Ask
from .decoding import epoch_ms, identifier, record


class Forks:
    """The forks of one look at a database; a parent that was found is added to `facts`."""

    def __init__(self, agent: str, ask: Ask, sessions: Sessions, facts: list[Fact]) -> None:
        self._agent, self._ask, self._sessions, self._facts = agent, ask, sessions, facts
        self._parents: dict[str, str] = {}  # fork -> the session that it was found to repeat

    def is_copy(self, row: Row, one: Message) -> bool:
        """Whether a fork repeats this message of its parent, which counts it."""
        about = self._sessions.about.get(row.session_id)
        if about is None:
            return False
        if about.fork_of and row.table == V2:
            return self._repeats_seq(row, about)
        # Own messages never begin before their session; a copy keeps its time, and an import has no twin.
        return row.created_ms < epoch_ms(about.created) and self._has_twin(row, one)

    def _repeats_seq(self, row: Row, about: About) -> bool:
        """v2 copies keep seq, type and time; without the parent's row only the time tells."""
        twin = self._ask(
            f"SELECT type, time_created FROM {V2} WHERE session_id = ? AND seq = ?", about.fork_of, row.seq
        )
        if twin:
            return (twin[0][0], epoch_ms(twin[0][1])) == (row.kind, row.created_ms)
        return row.created_ms < epoch_ms(about.created)

    def _has_twin(self, row: Row, one: Message) -> bool:
        """Whether the session's project has the same message under another id."""
        known = self._parents.get(row.session_id)
        if known and self._twin_in("= ?", known, row, one):
            return True
        sessions = "session_v2" if row.table == V2 else "session"
        if not {"project_id", "time_created"} <= self._ask.tables.get(sessions, frozenset()):
            return False
        found = self._twin_in(
            f"IN (SELECT id FROM {sessions} WHERE project_id ="
            f" (SELECT project_id FROM {sessions} WHERE id = ?))",
            row.session_id, row, one,
        )  # fmt: skip
        if found and not known:
            self._parents[row.session_id] = found
            self._facts.append(
                Session(self._agent, identifier(row.session_id), parent_id=identifier(found), role=Role.FORK)
            )
        return bool(found)

    def _twin_in(self, where: str, value: object, row: Row, one: Message) -> str:
        """The session of an original; of copies without one the first counts."""
        rows = self._ask(
            f"SELECT m.id, m.session_id, {DATA[row.table]}, m.rowid FROM {row.table} m"
            f" WHERE m.session_id {where} AND m.time_created = ? AND m.session_id != ?",
            value, row.created_ms, row.session_id,
        )  # fmt: skip
        self._sessions.learn({str(found[1]) for found in rows})
        whole = one.completed_ms > 0
        mine = records.fingerprint(one, whole)
        for row_id, session_id, data, rowid in rows:
            about = self._sessions.about.get(str(session_id), About())
            twin = Message(self._agent, session_id, row_id, row.created_ms, record(data) or {})
            is_original = 0 < epoch_ms(about.created) <= row.created_ms
            if (is_original or rowid < row.rowid) and records.fingerprint(twin, whole) == mine:
                return str(session_id)
        return ""
