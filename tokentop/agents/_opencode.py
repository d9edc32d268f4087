"""The database of OpenCode and Kilo, both generations of its tables, and OpenCode's JSON files of before. Pure.

v1: `session`, `message`, `part`. v2: `session_v2`, `session_message`; the old tables stay beside it and are not
written any more. Rows that were taken over keep their message ids, so reading every table that is there counts
each call once. Empty v2 tables of 1.x give nothing.
"""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind

from . import _opencode_records as records
from ._marks import Marks
from ._opencode_files import message_file, session_file
from ._opencode_records import About, Message
from ._opencode_steps import newest_records, page
from .base import Ask, Database, JsonDocument, LogFile, Reading, Roots, Source
from .decoding import epoch_ms, identifier, record, unparsed

_RECENT_SESSIONS = 12  # whose rows are read again each time: a title comes late, and leaves no other trace
_LIVE_STEPS = 16
_LIVE_MS = 3_600_000  # status is wanted of what was written this long before the file's last change
_TOOL_MS = 24 * _LIVE_MS  # a tool may run for hours without a change of its message
_OPEN_MS = 30 * _TOOL_MS
_LAST_ROWS = 100
_PARTS = 8
_V1, _V2 = "message", "session_message"
# A v1 user message can hold whole diffs, a v2 message all output of its tools.
_DATA = {
    _V1: 'CASE WHEN data LIKE \'{"role":"user"%\' THEN \'{"role":"user"}\' ELSE data END',
    _V2: "CASE WHEN json_valid(data) THEN json_remove(data, '$.content') ELSE data END",
}
_COLUMNS = {
    _V1: f"rowid, id, session_id, time_created, time_updated, 0, '', {_DATA[_V1]}",
    _V2: f"rowid, id, session_id, time_created, time_updated, seq, type, {_DATA[_V2]}",
}
_WANTED = {
    _V1: {"id", "session_id", "time_created", "time_updated", "data"},
    _V2: {"id", "session_id", "time_created", "time_updated", "data", "seq", "type"},
}
_SESSION = (
    "id", "parent_id", "directory", "title", "version", "agent", "model", "time_created", "time_updated",
    "fork_session_id",
)  # fmt: skip


def roots(agent: str, db_variable: str) -> Roots:
    """The folders of one of the family; the variable names a database elsewhere."""
    return Roots(
        dirs=(
            f"${db_variable}",
            f"$XDG_DATA_HOME/{agent}",
            f"~/.local/share/{agent}",
            f"$LOCALAPPDATA/{agent}",
        )
    )


def sources(agent: str) -> tuple[Source, ...]:
    """Databases of every channel (`opencode-beta.db`), and the JSON files of 1.1 and before."""

    def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
        return _Look(agent, file, ask, _decoded(state)).read()

    def signs(file: LogFile, ask: Ask) -> list[Fact]:
        return _Look(agent, file, ask, _Memory()).signs()

    return (
        Database(
            suffixes=(".db", ".sqlite", ".sqlite3"), levels=(), read=read, signs=signs, records=newest_records,
            page=page,
        ),
        JsonDocument(
            folder="storage/message", suffixes=(".json",), levels=("*",),
            read=lambda file, data: message_file(agent, file, data),
        ),
        JsonDocument(
            folder="storage/session", suffixes=(".json",), levels=("*",),
            read=lambda file, data: session_file(agent, file, data),
        ),
    )  # fmt: skip


class _Memory(Struct):
    tables: dict[str, Marks] = {}
    sessions: dict[str, int] = {}  # the last ones and a checksum of what was told of them


def _decoded(state: bytes) -> _Memory:
    try:
        return msgspec.msgpack.decode(state, type=_Memory) if state else _Memory()
    except msgspec.MsgspecError:
        return _Memory()


class _Row:
    """One row of a message table."""

    __slots__ = ("created_ms", "data", "id", "kind", "rowid", "seq", "session_id", "table", "updated_ms")

    def __init__(self, table: str, values: tuple[Any, ...], data: dict[str, Any]) -> None:
        rowid, row_id, session_id, created, updated, seq, kind, _ = values
        self.table, self.rowid, self.id, self.session_id, self.data = table, rowid, row_id, session_id, data
        self.created_ms, self.updated_ms = epoch_ms(created), epoch_ms(updated)
        self.seq = seq if type(seq) is int else 0
        self.kind = kind if isinstance(kind, str) else ""

    @property
    def is_call(self) -> bool:
        if self.table == _V2:
            return self.kind in {"assistant", "compaction"}
        return self.data.get("role") == "assistant"

    @property
    def is_prompt(self) -> bool:
        return self.kind == "user" if self.table == _V2 else self.data.get("role") == "user"


class _Look:
    """One look at a database."""

    def __init__(self, agent: str, file: LogFile, ask: Ask, memory: _Memory) -> None:
        self._agent = agent
        self._file = file
        self._ask = ask
        self._memory = memory
        self._facts: list[Fact] = []
        self._about: dict[str, About] = {}
        self._parents: dict[str, str] = {}  # fork -> the session that it was found to repeat
        self._running: list[tuple[int, _Row, Message]] = []
        self._live_ms = file.mtime_ms - _LIVE_MS
        tables = ask.tables
        self._tables = [name for name in (_V1, _V2) if _WANTED[name] <= tables.get(name, frozenset())]
        self._session_tables = [name for name in ("session_v2", "session") if "id" in tables.get(name, ())]

    def read(self) -> Reading:
        more = False
        for table in self._tables:
            marks = self._memory.tables.setdefault(table, Marks())
            found, again = marks.rows(self._ask, table, _COLUMNS[table])
            rows = [row for one in found if (row := self._row(table, one)) is not None]
            self._learn({row.session_id for row in rows})
            for row in rows:
                self._take(row, marks)
            marks.forget_old(self._file.mtime_ms - _OPEN_MS)
            more = more or again
        self._tell_sessions()
        self._tell_steps()
        return Reading(self._facts, msgspec.msgpack.encode(self._memory), more)

    def signs(self) -> list[Fact]:
        """What the newest row of each of the sessions that were written last says."""
        for table in self._tables:
            seen: set[str] = set()
            for one in self._ask(
                f"SELECT {_COLUMNS[table]} FROM {table} ORDER BY rowid DESC LIMIT {_LAST_ROWS}"
            ):
                row = self._row(table, one)
                if row is not None and row.session_id not in seen and (row.is_call or row.is_prompt):
                    seen.add(row.session_id)
                    self._take(row, Marks())
        self._tell_steps()
        return [fact for fact in self._facts if isinstance(fact, Activity | Context)]

    # ------------------------------------------------------------ rows

    def _row(self, table: str, values: tuple[Any, ...]) -> _Row | None:
        row_id, session_id, data = values[1], values[2], values[-1]
        found = record(data) if isinstance(data, str | bytes) else None
        if found is None or not isinstance(row_id, str) or not isinstance(session_id, str):
            self._facts.append(unparsed(self._agent))
            return None
        return _Row(table, values, found)

    def _take(self, row: _Row, marks: Marks) -> None:
        if row.is_call:
            self._call(row, marks)
        elif row.created_ms >= self._live_ms and (row.is_prompt or row.kind == "idle"):
            failed = row.kind == "idle" and row.data.get("outcome") == "failed"
            if not failed:  # the failed call says why
                state = State.WORKING if row.is_prompt else State.IDLE
                self._facts.append(Activity(self._agent, identifier(row.session_id), row.created_ms, state))

    def _call(self, row: _Row, marks: Marks) -> None:
        one = Message(self._agent, row.session_id, row.id, row.created_ms, row.data)
        if not (one.created_ms and one.id and one.session_id) or self._is_copy(row, one):
            marks.close(row.id)
            return
        used = records.counts(one, self._facts)
        ended = one.completed_ms > 0 or (row.kind == "compaction" and used.total > 0)
        if ended:
            marks.close(row.id)
        elif not marks.keep_open(row.id, row.updated_ms) and not used.total:
            self._running.append((row.updated_ms, row, one))
            return
        about = self._about.get(row.session_id, About())
        fact = records.usage(one, used, *records.model_of(about.model))
        if fact is not None and not (fact.kind is Kind.UNKNOWN and row.kind == "compaction"):
            self._facts.append(fact)
        if used.total:
            self._facts.append(records.context(one, used))
        if ended and one.completed_ms >= self._live_ms:
            self._facts.append(records.ended(one, used))
        elif not ended and row.updated_ms >= self._file.mtime_ms - _TOOL_MS:
            self._facts.append(records.started(one))
            self._running.append((row.updated_ms, row, one))

    # ------------------------------------------------------------ forks

    def _is_copy(self, row: _Row, one: Message) -> bool:
        """Whether a fork repeats this message of its parent, which counts it."""
        about = self._about.get(row.session_id)
        if about is None:
            return False
        if about.fork_of and row.table == _V2:
            return self._repeats_seq(row, about)
        # Own messages never begin before their session; a copy keeps its time, and an import has no twin.
        return row.created_ms < epoch_ms(about.created) and self._has_twin(row, one)

    def _repeats_seq(self, row: _Row, about: About) -> bool:
        """v2 copies keep seq, type and time; without the parent's row only the time tells."""
        twin = self._ask(
            f"SELECT type, time_created FROM {_V2} WHERE session_id = ? AND seq = ?", about.fork_of, row.seq
        )
        if twin:
            return (twin[0][0], epoch_ms(twin[0][1])) == (row.kind, row.created_ms)
        return row.created_ms < epoch_ms(about.created)

    def _has_twin(self, row: _Row, one: Message) -> bool:
        """Whether the session's project has the same message under another id."""
        known = self._parents.get(row.session_id)
        if known and self._twin_in("= ?", known, row, one):
            return True
        sessions = "session_v2" if row.table == _V2 else "session"
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

    def _twin_in(self, where: str, value: object, row: _Row, one: Message) -> str:
        """The session of an original; of copies without one the first counts."""
        rows = self._ask(
            f"SELECT m.id, m.session_id, {_DATA[row.table]}, m.rowid FROM {row.table} m"
            f" WHERE m.session_id {where} AND m.time_created = ? AND m.session_id != ?",
            value, row.created_ms, row.session_id,
        )  # fmt: skip
        self._learn({str(found[1]) for found in rows})
        whole = one.completed_ms > 0
        mine = records.fingerprint(one, whole)
        for row_id, session_id, data, rowid in rows:
            about = self._about.get(str(session_id), About())
            twin = Message(self._agent, session_id, row_id, row.created_ms, record(data) or {})
            is_original = 0 < epoch_ms(about.created) <= row.created_ms
            if (is_original or rowid < row.rowid) and records.fingerprint(twin, whole) == mine:
                return str(session_id)
        return ""

    # ------------------------------------------------------------ sessions

    def _learn(self, ids: Iterable[str]) -> None:
        """Read the rows of sessions; those of the newer generation win."""
        for table in self._session_tables:
            missing = [one for one in ids if one not in self._about]
            if not missing:
                return
            has = self._ask.tables[table]
            columns = [f"s.{name}" if name in has else "NULL" for name in _SESSION]
            branch = "NULL"
            if "workspace_id" in has and "branch" in self._ask.tables.get("workspace", ()):
                branch = "(SELECT branch FROM workspace w WHERE w.id = s.workspace_id)"
            for values in self._ask(
                f"SELECT {', '.join(columns)}, {branch} FROM {table} s"
                " WHERE s.id IN (SELECT value FROM json_each(?))",
                json.dumps(missing),
            ):
                *_, fork_of, branch_name = values
                about = About(*values[:9])
                about.branch, about.fork_of = (
                    branch_name,
                    identifier(fork_of) if isinstance(fork_of, str) else "",
                )
                self._about[str(about.id)] = about

    def _tell_sessions(self) -> None:
        """Sessions of new messages, and what has changed of the last ones."""
        told = self._memory.sessions
        self._learn(told)
        for session_id, about in self._about.items():
            prompt = "" if records.has_title(about) else self._prompt(session_id)
            fact = records.session(self._agent, about, self._file.path, prompt)
            checksum = crc32(msgspec.msgpack.encode(fact))
            if told.pop(session_id, None) != checksum:
                self._facts.append(fact)
            told[session_id] = checksum
        newest = sorted(self._about, key=lambda s: epoch_ms(self._about[s].updated))[-_RECENT_SESSIONS:]
        self._memory.sessions = {session_id: told[session_id] for session_id in newest}

    def _prompt(self, session_id: str) -> str:
        """The first words of a session without a title."""
        if _V1 in self._tables and "data" in self._ask.tables.get("part", ()):
            for (data,) in self._ask(
                "SELECT data FROM part WHERE message_id = (SELECT id FROM message WHERE session_id = ?"
                " ORDER BY time_created, id LIMIT 1) ORDER BY id LIMIT 2",
                session_id,
            ):
                if found := records.words([record(data) or {}]):
                    return found
        if _V2 in self._tables:
            for (data,) in self._ask(
                f"SELECT data FROM {_V2} WHERE session_id = ? AND type = 'user' ORDER BY seq LIMIT 1",
                session_id,
            ):
                return records.words([{**(record(data) or {}), "type": "text"}])
        return ""

    # ------------------------------------------------------------ status

    def _tell_steps(self) -> None:
        """What runs inside the open steps that were written last."""
        since_ms = self._file.mtime_ms - _TOOL_MS
        newest = sorted(self._running, key=lambda found: found[0])[-_LIVE_STEPS:]
        for updated_ms, row, one in newest:
            if updated_ms < since_ms:
                continue
            seen_ms = updated_ms
            if row.table == _V1 and "message_id" in self._ask.tables.get("part", ()):
                found = self._ask(
                    "SELECT data, time_updated FROM part WHERE message_id = ? ORDER BY id DESC"
                    f" LIMIT {_PARTS}",
                    row.id,
                )
                parts = [record(data) or {} for data, _ in found if isinstance(data, str | bytes)]
                seen_ms = max([updated_ms, *(epoch_ms(at) for _, at in found)])
            else:
                whole = self._ask(f"SELECT data FROM {row.table} WHERE id = ?", row.id)
                parts = records.content(record(whole[0][0]) or {}) if whole else []
            fact = records.progress(one, parts, seen_ms)
            if fact is not None:
                self._facts.append(fact)
