"""The index of the history: a line with sums and the words of each session, kept up to date by the one writer.

Triggers note which sessions have changed (`changed`); `index_some` brings a slice of them up to date, newest first.
Of a session's text only what stands in its row and its outline is indexed: title, project, branch, names of tools,
paths of files.
"""

from __future__ import annotations

import sqlite3

from tokentop.engine.likeness import learnable, with_one_left_out, words_of

from .schema import FOUND

SLICE = 200  # sessions of one transaction: some 20 ms
_DEEPEST = 16
_LINE = (
    "session", "root", "agent", "project", "model", "title", "branch", "first_ms", "last_ms", "responses", "tokens",
    "cost_nusd", "unpriced_tokens", "unknown_calls", "estimated", "below",
)  # fmt: skip
_PUT_LINE = f"INSERT OR REPLACE INTO line ({', '.join(_LINE)}) VALUES ({', '.join('?' * len(_LINE))})"
_SUMS = (
    "max(s.last_ms), sum(s.responses), sum(s.input + s.cache_read + s.cache_write_5m + s.cache_write_1h + s.output),"
    " sum(s.cost_nusd), sum(s.unpriced_tokens), sum(s.unknown_calls), max(s.estimated), count(*) - 1"
)
_SESSION = (
    "SELECT s.agent, s.sid, p.name, s.model, s.title, s.branch, s.first_ms, coalesce(o.tools, ''),"
    " coalesce(o.files, '') FROM session s JOIN project p ON p.id = s.project LEFT JOIN outline o ON o.session = s.id"
    " WHERE s.id = ?"
)
_NEWEST_MODEL = (
    "SELECT m.name FROM event e JOIN model m ON m.id = e.model WHERE e.session = ? AND m.name != ''"
    " ORDER BY e.hour DESC, e.at_ms DESC LIMIT 1"
)


_ABOVE = (  # its parent; where that is not known, the session that a sub-agent was started in
    "SELECT a.id, a.sid FROM session s JOIN session a ON a.agent = s.agent AND a.id != s.id AND a.sid != ''"
    " AND a.sid IN (s.parent_sid, CASE s.role WHEN 'sub-agent' THEN s.root_sid ELSE '' END)"
    " WHERE s.agent = ? AND s.sid = ? AND s.role != 'fork' ORDER BY a.sid = s.parent_sid DESC LIMIT 1"
)


def waiting(db: sqlite3.Connection) -> int:
    """Sessions that have changed and are not in the index yet."""
    return int(db.execute("SELECT count(*) FROM changed").fetchone()[0])


def erase_words(db: sqlite3.Connection) -> None:
    """Take all words out of the index and its file; it is made anew from what the sessions still say."""
    db.execute("PRAGMA secure_delete=ON")
    db.execute("BEGIN IMMEDIATE")
    db.execute("DROP TABLE found")
    db.execute(FOUND)
    db.execute("DELETE FROM near")
    db.execute("UPDATE line SET title = '', branch = ''")
    db.execute("INSERT OR IGNORE INTO changed SELECT id FROM session")
    db.execute("COMMIT")


def sweep_words(db: sqlite3.Connection) -> None:
    """Take words that no session has any more out of the file. Takes a second for 50,000 sessions."""
    db.execute("PRAGMA secure_delete=ON")
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.term USING fts5vocab('main', 'found', 'row')")
    db.execute("INSERT INTO found (found) VALUES ('optimize')")
    db.execute("DELETE FROM near WHERE term NOT IN (SELECT term FROM temp.term)")


def newest_model(db: sqlite3.Connection, session: int) -> str:
    """The model of its newest call: not every log names one for the session; "" = no call names one either."""
    row = db.execute(_NEWEST_MODEL, (session,)).fetchone()
    return str(row[0]) if row else ""


class Indexer:
    """Brings the index up to date; belongs to the thread of the writer's connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._learned: set[str] = set()  # words that `near` has

    def index_some(self, most: int = SLICE) -> int:
        """Index up to `most` changed sessions in one transaction; return how many. sqlite3.Error."""
        db = self.db
        rows = db.execute("SELECT session FROM changed ORDER BY session DESC LIMIT ?", (most,)).fetchall()
        if not rows:
            return 0
        db.execute("BEGIN IMMEDIATE")
        try:
            # Taken off first: what is noted again on the way waits for the next slice.
            db.executemany("DELETE FROM changed WHERE session = ?", rows)
            roots: set[int] = set()
            for (session,) in rows:
                roots |= self._index(session)
            for root in roots:
                self._sum_up(root)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            self._learned.clear()
            raise
        return len(rows)

    def _index(self, session: int) -> set[int]:
        """Write the line and the words of a session; return the roots whose sums have moved."""
        db = self.db
        before = db.execute("SELECT root FROM line WHERE session = ?", (session,)).fetchone()
        found = db.execute(_SESSION, (session,)).fetchone()
        if found is None:
            db.execute("DELETE FROM line WHERE session = ?", (session,))
            db.execute("DELETE FROM found WHERE rowid = ?", (session,))
            self._note_below(session)
            return {before[0]} - {session} if before else set()
        agent, sid, project, model, title, branch, first_ms, tools, files = found
        root = self._root(session, agent, sid)
        model = model or newest_model(db, session)
        db.execute(
            _PUT_LINE, (session, root, agent, project, model, title, branch, first_ms, *self._sums("s.id = ?", session), 0)
        )  # fmt: skip
        self._put_words(session, title, project, branch, tools, files, f"{agent} {model} {sid}")
        if before is None or before[0] != root:
            self._note_below(session)
            self._note_children(session, agent, sid)
            self._note_bought(session, root, before)
        return {root} if before is None else {root, before[0]}

    def _root(self, session: int, agent: str, sid: str) -> int:
        """The session that one is listed below: the outermost one that is known; a fork stands for itself."""
        for _ in range(_DEEPEST):
            found = self.db.execute(_ABOVE, (agent, sid)).fetchone()
            if found is None:
                break
            session, sid = found
        return session

    def _note_below(self, session: int) -> None:
        """What was listed below a session may stand below another one now."""
        self.db.execute(
            "INSERT OR IGNORE INTO changed SELECT session FROM line WHERE root = ?1 AND root != session",
            (session,),
        )

    def _note_bought(self, session: int, root: int, before: tuple[int] | None) -> None:
        """What a session did is now another one's."""
        if self.db.execute("SELECT 1 FROM work WHERE session = ?", (session,)).fetchone():
            roots = {root, before[0] if before else session}
            self.db.executemany("INSERT OR IGNORE INTO bought_stale VALUES (?)", [(one,) for one in roots])

    def _note_children(self, session: int, agent: str, sid: str) -> None:
        """Sub-agents that were read before their parent."""
        for these, values in (
            ("s.parent_sid = ?3 AND s.parent_sid != ''", (agent, session, sid)),
            ("s.sid >= ?3 AND s.sid < ?4", (agent, session, f"{sid}/", f"{sid}0")),  # Claude Code's
        ):
            self.db.execute(
                "INSERT OR IGNORE INTO changed SELECT s.id FROM session s JOIN line l ON l.session = s.id"
                f" WHERE s.agent = ?1 AND s.id != ?2 AND {these} AND l.root = l.session AND s.role != 'fork'",
                values,
            )

    def _sums(self, where: str, value: int) -> tuple[object, ...]:
        found = self.db.execute(f"SELECT {_SUMS} FROM session s WHERE {where}", (value,)).fetchone()
        return tuple(found[:-1])

    def _sum_up(self, root: int) -> None:
        """The sums of a root are those of all that is listed below it and its own."""
        self.db.execute(
            "UPDATE line SET (last_ms, responses, tokens, cost_nusd, unpriced_tokens, unknown_calls, estimated, below) ="
            f" (SELECT {_SUMS} FROM session s WHERE s.id IN (SELECT session FROM line WHERE root = ?1 AND root != session"
            " UNION ALL SELECT ?1)) WHERE session = ?1 AND root = ?1",
            (root,),
        )

    def _put_words(self, session: int, *texts: str) -> None:
        """Texts in the order of the columns of `found`; nothing is written where they are as they were."""
        db = self.db
        known = db.execute(
            "SELECT title, project, branch, tools, files, names FROM found WHERE rowid = ?", (session,)
        ).fetchone()
        if known == texts:
            return
        if known is not None:
            db.execute("DELETE FROM found WHERE rowid = ?", (session,))
        db.execute(
            "INSERT INTO found (rowid, title, project, branch, tools, files, names) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (session, *texts),
        )
        new = {word for text in texts[:-1] for word in words_of(text)} - self._learned
        self._learned |= new
        db.executemany(
            "INSERT OR IGNORE INTO near VALUES (?, ?)",
            [(key, word) for word in new if learnable(word) for key in with_one_left_out(word)],
        )
