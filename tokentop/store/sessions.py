"""The writer's picture of sessions: rows loaded on demand, changed in memory, written with their events."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple, replace

from tokentop.nouns.sessions import Context, Role, Session
from tokentop.nouns.usage import Figures, Tokens
from tokentop.text import clean

from .indexing import erase_words
from .listed import Listed

_TEXT = ("parent_sid", "root_sid", "branch", "version", "surface", "log_path", "tool_use_id", "model")
COLUMNS = (
    "id", "agent", "sid", "parent_sid", "root_sid", "role", "project", "cwd", "branch", "title", "title_rank",
    "model", "first_ms", "version", "surface", "log_path", "forked_at_ms", "tool_use_id", "context_used",
    "context_window", "context_at_ms", "last_ms", "responses", "input", "cache_read", "cache_write_5m",
    "cache_write_1h", "output", "reasoning", "cost_nusd", "unpriced_tokens", "estimated", "unknown_calls",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM session"
_UPSERT = (
    f"INSERT INTO session ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{c}=excluded.{c}' for c in COLUMNS[3:])}"
)
_ROLE_RANK = {"": 0, Role.MAIN: 1, Role.FORK: 2, Role.SUB_AGENT: 3}
_MAX_CACHED = 20_000


class SessionRow(Struct, gc=False):
    """One row of `session`, mutable; the fields are `COLUMNS` in their order."""

    id: int
    agent: str
    sid: str
    parent_sid: str
    root_sid: str
    role: str
    project: int
    cwd: str
    branch: str
    title: str
    title_rank: int
    model: str
    first_ms: int
    version: str
    surface: str
    log_path: str
    forked_at_ms: int
    tool_use_id: str
    context_used: int | None
    context_window: int
    context_at_ms: int
    last_ms: int
    responses: int
    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int
    cost_nusd: int
    unpriced_tokens: int
    estimated: int
    unknown_calls: int
    dirty: bool = False

    @property
    def owner_rank(self) -> tuple[bool, int, str]:
        """Smaller owns a response that several logs hold: not a sub-agent, then the older log."""
        return "/" in self.sid, self.first_ms or 1 << 62, self.sid

    def values(self) -> tuple[object, ...]:
        return astuple(self)[:-1]

    @property
    def known_role(self) -> Role | None:
        return Role(self.role) if self.role and self.role in _ROLE_RANK else None

    def session(self) -> Session:
        return Session(
            self.agent, self.sid, self.parent_sid, self.root_sid, self.known_role, self.cwd,
            self.branch, self.title, self.title_rank, self.model, self.first_ms, self.last_ms, self.version,
            self.surface, self.log_path, self.forked_at_ms, self.tool_use_id,
        )  # fmt: skip

    def figures(self) -> Figures:
        tokens = Tokens(
            self.input, self.cache_read, self.cache_write_5m, self.cache_write_1h, self.output, self.reasoning
        )
        return Figures(
            tokens,
            self.responses,
            self.cost_nusd,
            self.unpriced_tokens,
            bool(self.estimated),
            self.unknown_calls,
        )


def erase_titles(connection: sqlite3.Connection) -> None:
    """Take the titles out of the file, its free pages and its log: they can quote prompts."""
    if connection.execute("SELECT 1 FROM session WHERE title != '' LIMIT 1").fetchone() is None:
        return
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("UPDATE session SET title='', title_rank=0 WHERE title != ''")
    erase_words(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class SessionCache:
    """Sessions by (agent, sid) and by id. `clear()` after a rollback: memory must not run ahead of the file."""

    def __init__(self, connection: sqlite3.Connection, keep_titles: bool) -> None:
        self._db = connection
        self._keep_titles = keep_titles
        self._rows: dict[tuple[str, str], SessionRow] = {}
        self._by_id: dict[int, SessionRow] = {}
        self._projects: dict[tuple[str, str], int] = {}
        self._next_id = 0
        # While every stored session is in memory, a session that is not there is new.
        self._complete = connection.execute("SELECT 1 FROM session LIMIT 1").fetchone() is None
        self._forgotten = Listed(connection, "(SELECT session FROM purged WHERE forgotten)")
        self.moved: list[tuple[SessionRow, int]] = []  # got their project after their first events
        self.named: list[SessionRow] = []  # got their model after their first events

    def clear(self) -> None:
        self._rows.clear()
        self._by_id.clear()
        self._projects.clear()
        self._next_id = 0
        self._complete = False
        self.moved.clear()
        self.named.clear()

    def get(self, agent: str, sid: str) -> SessionRow:
        """The row of a session, made if it is new."""
        row = self._rows.get((agent, sid))
        if row is not None:
            return row
        found = None
        if not self._complete:
            found = self._db.execute(f"{_SELECT} WHERE agent=? AND sid=?", (agent, sid)).fetchone()
        if found is None:
            if not self._next_id:
                self._next_id = self._db.execute("SELECT coalesce(max(id), 0) FROM session").fetchone()[0]
            self._next_id += 1
            root = sid.partition("/")[0]
            found = (
                self._next_id, agent, sid, "", root, "", self._project(agent, ""), "", "", "", 0, "", 0, "", "", "", 0,
                "", None, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            )  # fmt: skip
            row = self._add(found)
            row.dirty = True
            return row
        return self._add(found)

    def by_id(self, session_id: int) -> SessionRow:
        row = self._by_id.get(session_id)
        if row is None:
            row = self._add(self._db.execute(f"{_SELECT} WHERE id=?", (session_id,)).fetchone())
        return row

    def _add(self, values: Iterable[Any]) -> SessionRow:
        row = SessionRow(*values)
        self._rows[row.agent, row.sid] = row
        self._by_id[row.id] = row
        return row

    def merge(self, fact: Session) -> SessionRow:
        """Take over what a fact says."""
        row = self.get(fact.agent, fact.id)
        row.dirty = True
        if fact.parent_id and fact.parent_id != fact.id:
            row.parent_sid = fact.parent_id
        if fact.root_id:
            row.root_sid = fact.root_id
        if fact.role is not None and _ROLE_RANK[fact.role] >= _ROLE_RANK.get(row.role, 0):
            row.role = fact.role
        if row.id in self._forgotten:
            fact = replace(fact, cwd="", branch="", title="", log_path="", tool_use_id="")
        if fact.cwd:
            row.cwd = fact.cwd
            from tokentop.agents.decoding import project_of  # who only reads the store needs no agents

            name = clean(project_of(fact.cwd), 60)
            unknown = self._project(fact.agent, "")
            if row.project == unknown and name:
                row.project = self._project(fact.agent, name)
                if row.responses or row.last_ms:
                    self.moved.append((row, unknown))
        if fact.model and not row.model and row.last_ms:
            self.named.append(row)
        for name in ("branch", "version", "surface", "log_path", "tool_use_id", "model"):
            value = getattr(fact, name)
            if value:
                setattr(row, name, value)
        if fact.title and fact.title_rank >= row.title_rank and self._keep_titles:
            row.title, row.title_rank = fact.title, fact.title_rank
        if fact.first_ms:
            row.first_ms = min(row.first_ms or fact.first_ms, fact.first_ms)
        row.forked_at_ms = max(row.forked_at_ms, fact.forked_at_ms)
        row.last_ms = max(
            row.last_ms, fact.last_ms, row.first_ms
        )  # it began: it is news before it has a call
        return row

    def context(self, fact: Context) -> None:
        row = self.get(fact.agent, fact.session_id)
        if fact.at_ms >= row.context_at_ms:
            row.context_at_ms, row.context_used = fact.at_ms, fact.used
            row.context_window = fact.window or row.context_window
            row.dirty = True

    def _project(self, agent: str, name: str) -> int:
        key = (agent, name)
        project = self._projects.get(key)
        if project is None:
            self._db.execute("INSERT OR IGNORE INTO project (agent, name) VALUES (?, ?)", key)
            project = self._db.execute("SELECT id FROM project WHERE agent=? AND name=?", key).fetchone()[0]
            self._projects[key] = project
        return project

    def write(self) -> list[SessionRow]:
        """Write the changed rows; return them."""
        dirty = [row for row in self._rows.values() if row.dirty]
        self._db.executemany(_UPSERT, [row.values() for row in dirty])
        for row in dirty:
            row.dirty = False
        return dirty

    def trim(self) -> None:
        """Bound the memory; call between transactions."""
        if len(self._rows) > _MAX_CACHED:
            self._rows.clear()
            self._by_id.clear()
            self._complete = False
