"""OpenClaw's database of one of its agents: rows -> facts. Pure.

Sessions can be rewritten, and the ids of deleted rows come again: a reading goes on from the newest place that is
still as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.agents._pi import USAGE, Entries, Memory
from tokentop.agents.base import Ask, LogFile, Reading
from tokentop.agents.decoding import count, decompressed, epoch_ms, identifier, record, text, unparsed
from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session
from tokentop.text import title

from .entries import AGENT_ID, COLD, cold_entry, is_foreign

_PORTION = 100  # rows of one question: a row has up to 4 MB
_PAGE_ROWS = 50  # of one question for an outline
_PORTIONS = 20  # questions of one look
_CELL_BYTES = 4 << 20
_ARCHIVE_BYTES = 64 << 20
_FIRST_ROWS = 8  # header and prompt are among them
_PLACES = 8
_RECENT = 4  # sessions whose status is looked at, and entries of each
_LAST_ROWS = 12


class _Place(Struct, array_like=True):
    """A row of `transcript_events` up to which everything was read."""

    row: int
    session_id: str
    seq: int


class _Mark(Struct):
    places: list[_Place] = []  # oldest first
    rewritten_ms: int = 0
    archive: int = 0
    cold: int = 0


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """What is new in a database; then what its newest sessions do."""
    mark = msgspec.msgpack.decode(state, type=_Mark) if state else _Mark()
    columns = _columns(ask, "transcript_events")
    if not {"session_id", "seq", "event_json"} <= columns:
        return Reading([], state)
    reader = _Reader(file, ask, "event_zstd" if "event_zstd" in columns else "NULL")
    reader.rewritten(mark)
    more = reader.news(mark) or reader.archives(mark)
    reader.tell_sessions()
    if not more:
        reader.facts += signs(file, ask)
    return Reading(reader.facts, msgspec.msgpack.encode(mark), more)


class _Reader:
    """One look at a database."""

    def __init__(self, file: LogFile, ask: Ask, zstd: str) -> None:
        self.facts: list[Fact] = []
        self._file = file
        self._ask = ask
        self._columns = f"rowid, session_id, seq, event_json, {zstd}"
        self._wanted = (
            f"(event_json IS NULL OR seq < {_FIRST_ROWS} OR instr(event_json, '\"usage\"')"
            " OR instr(event_json, '\"session_info\"'))"
        )
        self._sessions: dict[str, None] = {}

    def news(self, mark: _Mark) -> bool:
        """Read on from the newest place that is still there; True if there is more."""
        mark.places = self._valid(mark.places)
        row = mark.places[-1].row if mark.places else 0
        newest = self._ask("SELECT rowid, session_id, seq FROM transcript_events ORDER BY rowid DESC LIMIT 1")
        for _ in range(_PORTIONS):
            rows = self._ask(
                f"SELECT {self._columns} FROM transcript_events WHERE rowid > ? AND {self._wanted}"
                f" ORDER BY rowid LIMIT {_PORTION}", row,
            )  # fmt: skip
            self._rows(rows)
            full = len(rows) == _PORTION
            last = rows[-1] if full else newest[0] if newest else None
            if last is not None and last[0] > row:
                row = last[0]
                mark.places.append(_Place(row, str(last[1]), count(last[2]) or 0))
            if not full:
                break
        mark.places = [*mark.places[:-_PLACES:2], *mark.places[-_PLACES:]][-2 * _PLACES :]
        return full

    def _valid(self, places: list[_Place]) -> list[_Place]:
        """The places up to the newest whose row is the same: ids of rows deleted from the end come again."""
        for index in range(len(places) - 1, -1, -1):
            place = places[index]
            found = self._ask("SELECT session_id, seq FROM transcript_events WHERE rowid = ?", place.row)
            if found == [(place.session_id, place.seq)]:
                return places[: index + 1]
        return []

    def rewritten(self, mark: _Mark) -> None:
        """Sessions that were rewritten since the last look are read whole."""
        if "updated_at" not in _columns(self._ask, "transcript_rewrite_watermarks"):
            return
        found = self._ask(
            "SELECT session_id, updated_at FROM transcript_rewrite_watermarks WHERE updated_at > ?"
            " ORDER BY updated_at LIMIT 200", mark.rewritten_ms,
        )  # fmt: skip
        for session_id, updated_ms in found:
            seq, full = -1, bool(mark.places)
            while full:
                rows = self._ask(
                    f"SELECT {self._columns} FROM transcript_events WHERE session_id = ? AND seq > ?"
                    f" AND {self._wanted} ORDER BY seq LIMIT {_PORTION}", session_id, seq,
                )  # fmt: skip
                self._rows(rows)
                full = len(rows) == _PORTION
                seq = rows[-1][2] if rows else seq
            mark.rewritten_ms = max(mark.rewritten_ms, count(updated_ms) or 0)

    def _rows(self, rows: Iterable[tuple[Any, ...]]) -> None:
        by_session: dict[str, Entries] = {}
        for _, named, seq, plain, packed in rows:
            session_id = identifier(text(named)) or "unknown"
            entries = by_session.get(session_id)
            if entries is None:
                entries = by_session[session_id] = _entries(session_id, self._file)
                entries.memory.titled = (count(seq) or 0) >= _FIRST_ROWS
            self._give(entries, plain if plain is not None else decompressed(packed, _CELL_BYTES))
        for session_id, entries in by_session.items():
            self.facts += entries.facts
            self._sessions[session_id] = None

    def _give(self, entries: Entries, data: str | bytes | None) -> None:
        entry = record(data) if data is not None else None
        if entry is None:
            self.facts.append(unparsed(AGENT_ID))
        else:
            entries.entry(entry)

    # ------------------------------------------------------------ archives

    def archives(self, mark: _Mark) -> bool:
        """Read one archive at most; True if there may be more."""
        name = "session_transcript_archives"
        if "archive_blob" in _columns(self._ask, name):
            mark.archive = self._lower(name, mark.archive)
            row = self._archive(name, "encoding", mark.archive)
            if row:
                mark.archive = row
                return True
        name = "session_transcript_cold_archives"
        if "archive_blob" in _columns(self._ask, name):
            mark.cold = self._lower(name, mark.cold)
            row = self._archive(name, "'cold'", mark.cold)
            if row:
                mark.cold = row
                return True
        return False

    def _lower(self, table: str, row: int) -> int:
        """0 where the newest rows are gone: their ids come again."""
        newest = self._ask(f"SELECT max(rowid) FROM {table}")[0][0] or 0
        return row if newest >= row else 0

    def _archive(self, table: str, encoding: str, after: int) -> int:
        found = self._ask(
            f"SELECT rowid, session_id, {encoding}, length(archive_blob),"
            f" CASE WHEN length(archive_blob) <= {_ARCHIVE_BYTES} THEN archive_blob END"
            f" FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT 1", after,
        )  # fmt: skip
        if not found:
            return 0
        row, named, kind, size, blob = found[0]
        if not size:  # in a file
            return int(row)
        data = blob if kind == "identity" else decompressed(blob, _ARCHIVE_BYTES)
        if not isinstance(data, bytes):
            self.facts.append(Diagnostic(AGENT_ID, "unparsed", "an archived session that cannot be read"))
            return int(row)
        entries = _entries(identifier(text(named)) or "unknown", self._file)
        for line in data.split(b"\n"):
            if USAGE in line or b'"session' in line or b'"user"' in line:
                self._give(entries, line)
            elif kind == "cold" and COLD in line:
                self._give(entries, cold_entry(line))
        self.facts += entries.facts
        self._sessions[entries.memory.session_id] = None
        return int(row)

    # ------------------------------------------------------------ who

    def tell_sessions(self) -> None:
        windows, nodes = _columns(self._ask, "session_windows"), _columns(self._ask, "session_nodes")
        if not {"session_id", "session_key"} <= windows or "session_key" not in nodes:
            return
        for session_id in self._sessions:
            found = _one(
                self._ask, "session_windows", windows, "session_id", session_id,
                ("session_key", "reason", "previous_session_id", "created_at", "display_name", "spawned_by"),
            )  # fmt: skip
            if found:
                self.facts.append(self._session(session_id, found, nodes))

    def _session(self, session_id: str, window: dict[str, Any], nodes: frozenset[str]) -> Session:
        node = _one(
            self._ask, "session_nodes", nodes, "session_key", window["session_key"],
            ("fork_source_session_id", "spawned_by", "label", "display_name"),
        )  # fmt: skip
        parent, role = "", Role.MAIN
        spawner = window["spawned_by"] or node.get("spawned_by")
        if spawner:
            above = _one(self._ask, "session_nodes", nodes, "session_key", spawner, ("current_session_id",))
            parent, role = text(above.get("current_session_id")), Role.SUB_AGENT
        elif window["reason"] == "fork":
            parent = text(window["previous_session_id"]) or text(node.get("fork_source_session_id"))
            role = Role.FORK
        name = (
            text(node.get("label"), 400)
            or text(node.get("display_name"), 400)
            or text(window["display_name"], 400)
        )
        return Session(
            AGENT_ID, session_id, identifier(parent), role=role, title=title(name), title_rank=3,
            first_ms=epoch_ms(window["created_at"]), log_path=self._file.path,
        )  # fmt: skip


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    """What the sessions that changed last do, from their last entries."""
    zstd = "event_zstd" if "event_zstd" in _columns(ask, "transcript_events") else "NULL"
    if "updated_at" not in _columns(ask, "session_windows"):
        return []
    facts: list[Fact] = []
    for (named,) in ask(f"SELECT session_id FROM session_windows ORDER BY updated_at DESC LIMIT {_RECENT}"):
        rows = ask(
            f"SELECT event_json, {zstd} FROM transcript_events WHERE session_id = ? ORDER BY seq DESC"
            f" LIMIT {_LAST_ROWS}", named,
        )  # fmt: skip
        entries = _entries(identifier(text(named)), file)
        entries.live = True
        for plain, packed in reversed(rows):
            entry = record(plain if plain is not None else decompressed(packed, _CELL_BYTES) or b"")
            if entry is not None:
                entries.entry(entry)
        facts += [fact for fact in entries.facts if isinstance(fact, Activity | Context)]
    return facts


def newest_records(_file: LogFile, ask: Ask, session_id: str) -> list[dict[str, Any]]:
    """The last entries of one session, oldest first."""
    rows = _rows_of(ask, "session_id = ? ORDER BY seq DESC LIMIT 80", session_id)
    return [entry for _, entry in reversed(rows) if entry is not None]


def page(_file: LogFile, ask: Ask, session_id: str, mark: str) -> tuple[list[dict[str, Any]], str]:
    """Some entries of one session behind the one with the number `mark`, oldest first, and the next mark."""
    rows = _rows_of(
        ask, f"session_id = ? AND seq > ? ORDER BY seq LIMIT {_PAGE_ROWS}", session_id, int(mark or -1)
    )
    following = str(rows[-1][0]) if len(rows) == _PAGE_ROWS else ""
    return [entry for _, entry in rows if entry is not None], following


def _rows_of(ask: Ask, where: str, *values: object) -> list[tuple[object, dict[str, Any] | None]]:
    zstd = "event_zstd" if "event_zstd" in _columns(ask, "transcript_events") else "NULL"
    return [
        (seq, record(plain if plain is not None else decompressed(packed, _CELL_BYTES) or b""))
        for seq, plain, packed in ask(
            f"SELECT seq, event_json, {zstd} FROM transcript_events WHERE {where}", *values
        )
    ]


def _entries(session_id: str, file: LogFile) -> Entries:
    return Entries(AGENT_ID, Memory(session_id), file.path, file.mtime_ms, is_foreign)


def _columns(ask: Ask, table: str) -> frozenset[str]:
    # `ask.tables` looks at all tables, of which the search index needs a module that may not be there.
    return frozenset(name for (name,) in ask("SELECT name FROM pragma_table_info(?)", table))


def _one(
    ask: Ask, table: str, known: frozenset[str], key: str, value: object, wanted: Sequence[str]
) -> dict[str, Any]:
    """The wanted columns of one row, as far as this version has them; empty if there is no such row."""
    columns = ", ".join(name if name in known else "NULL" for name in wanted)
    found = ask(f"SELECT {columns} FROM {table} WHERE {key} = ?", value)
    return dict(zip(wanted, found[0], strict=True)) if found else {}
