"""The database of OpenCode and Kilo, both generations of its tables, and OpenCode's JSON files of before. Pure.

v1: `session`, `message`, `part`. v2: `session_v2`, `session_message`; the old tables stay beside it and are not
written any more. Rows that were taken over keep their message ids, so reading every table that is there counts
each call once. Empty v2 tables of 1.x give nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, State
from tokentop.nouns.usage import Kind

from . import _opencode_records as records
from ._marks import Marks
from ._opencode_files import message_file, session_file
from ._opencode_forks import Forks
from ._opencode_records import About, Message
from ._opencode_rows import COLUMNS, V1, V2, WANTED, Row
from ._opencode_sessions import Sessions
from ._opencode_steps import newest_records, page
from .base import Ask, Database, JsonDocument, LogFile, Reading, Roots, Source
from .decoding import epoch_ms, identifier, record, unparsed

_LIVE_STEPS = 16
_LIVE_MS = 3_600_000  # status is wanted of what was written this long before the file's last change
_TOOL_MS = 24 * _LIVE_MS  # a tool may run for hours without a change of its message
_OPEN_MS = 30 * _TOOL_MS
_LAST_ROWS = 100
_PARTS = 8


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


class _Look:
    """One look at a database."""

    def __init__(self, agent: str, file: LogFile, ask: Ask, memory: _Memory) -> None:
        self._agent = agent
        self._file = file
        self._ask = ask
        self._memory = memory
        self._facts: list[Fact] = []
        self._running: list[tuple[int, Row, Message]] = []
        self._live_ms = file.mtime_ms - _LIVE_MS
        tables = ask.tables
        self._tables = [name for name in (V1, V2) if WANTED[name] <= tables.get(name, frozenset())]
        self._sessions = Sessions(agent, file.path, ask, self._tables, self._facts)
        self._forks = Forks(agent, ask, self._sessions, self._facts)

    def read(self) -> Reading:
        more = False
        for table in self._tables:
            marks = self._memory.tables.setdefault(table, Marks())
            found, again = marks.rows(self._ask, table, COLUMNS[table])
            rows = [row for one in found if (row := self._row(table, one)) is not None]
            self._sessions.learn({row.session_id for row in rows})
            for row in rows:
                self._take(row, marks)
            marks.forget_old(self._file.mtime_ms - _OPEN_MS)
            more = more or again
        self._memory.sessions = self._sessions.tell(self._memory.sessions)
        self._tell_steps()
        return Reading(self._facts, msgspec.msgpack.encode(self._memory), more)

    def signs(self) -> list[Fact]:
        """What the newest row of each of the sessions that were written last says."""
        for table in self._tables:
            seen: set[str] = set()
            for one in self._ask(
                f"SELECT {COLUMNS[table]} FROM {table} ORDER BY rowid DESC LIMIT {_LAST_ROWS}"
            ):
                row = self._row(table, one)
                if row is not None and row.session_id not in seen and (row.is_call or row.is_prompt):
                    seen.add(row.session_id)
                    self._take(row, Marks())
        self._tell_steps()
        return [fact for fact in self._facts if isinstance(fact, Activity | Context)]

    # ------------------------------------------------------------ rows

    def _row(self, table: str, values: tuple[Any, ...]) -> Row | None:
        row_id, session_id, data = values[1], values[2], values[-1]
        found = record(data) if isinstance(data, str | bytes) else None
        if found is None or not isinstance(row_id, str) or not isinstance(session_id, str):
            self._facts.append(unparsed(self._agent))
            return None
        return Row(table, values, found)

    def _take(self, row: Row, marks: Marks) -> None:
        if row.is_call:
            self._call(row, marks)
        elif row.created_ms >= self._live_ms and (row.is_prompt or row.kind == "idle"):
            failed = row.kind == "idle" and row.data.get("outcome") == "failed"
            if not failed:  # the failed call says why
                state = State.WORKING if row.is_prompt else State.IDLE
                self._facts.append(Activity(self._agent, identifier(row.session_id), row.created_ms, state))

    def _call(self, row: Row, marks: Marks) -> None:
        one = Message(self._agent, row.session_id, row.id, row.created_ms, row.data)
        if not (one.created_ms and one.id and one.session_id) or self._forks.is_copy(row, one):
            marks.close(row.id)
            return
        used = records.counts(one, self._facts)
        ended = one.completed_ms > 0 or (row.kind == "compaction" and used.total > 0)
        if ended:
            marks.close(row.id)
        elif not marks.keep_open(row.id, row.updated_ms) and not used.total:
            self._running.append((row.updated_ms, row, one))
            return
        about = self._sessions.about.get(row.session_id, About())
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

    # ------------------------------------------------------------ status

    def _tell_steps(self) -> None:
        """What runs inside the open steps that were written last."""
        since_ms = self._file.mtime_ms - _TOOL_MS
        newest = sorted(self._running, key=lambda found: found[0])[-_LIVE_STEPS:]
        for updated_ms, row, one in newest:
            if updated_ms < since_ms:
                continue
            seen_ms = updated_ms
            if row.table == V1 and "message_id" in self._ask.tables.get("part", ()):
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
