"""What another store, or an export, holds is stored here as it is, within `Writer.transaction`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from msgspec import structs

from tokentop.nouns.sessions import Context, Session

from .flags import FLAG_ESTIMATED
from .merging import EventRow
from .purging import put_sums
from .slots import SLOT_MS
from .writer import Writer


class Adoption:
    """The way in for `adopt.py`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._db = writer.connection
        self.names = writer.names

    def session(self, session: Session) -> int:
        """Merge what another store says of a session; return its id here. What is said here stays."""
        known = self._writer.sessions.get(session.agent, session.id)
        if known.last_ms:  # its log was read here: only what it lacks is taken
            said = known.session()
            session = structs.replace(
                session, cwd=said.cwd or session.cwd, branch=said.branch or session.branch,
                title=said.title or session.title, title_rank=max(said.title_rank, session.title_rank),
                model=said.model or session.model, log_path=said.log_path or session.log_path,
            )  # fmt: skip
        row = self._writer.sessions.merge(session)
        for moved, unknown in self._writer.sessions.moved:
            self._writer.accounts.move(moved, unknown)
        self._writer.sessions.moved.clear()
        self._writer.sessions.named.clear()
        return row.id

    def context(self, context: Context) -> None:
        self._writer.sessions.context(context)

    def known_calls(self, ids: Sequence[int]) -> set[int]:
        """Which calls are stored, or were purged."""
        wanted = json.dumps(list(ids))
        query = "SELECT id FROM {} WHERE id IN (SELECT value FROM json_each(?))"
        found = self._db.execute(query.format("event"), (wanted,)).fetchall()
        found += self._db.execute(query.format("purged_call"), (wanted,)).fetchall()
        return {row[0] for row in found}

    def calls(
        self, rows: Sequence[EventRow], extras: Mapping[int, tuple[int | None, int, int | None]]
    ) -> None:
        """Store calls as they are, with what goes with them: (logged cost, web searches, credits)."""
        for session in {row[1] for row in rows}:
            if session in self._writer.counting.imported:
                self._writer.counting.drop_imported(session)
        for row in rows:
            self._writer.counting.rows.append(row)
            self._writer.accounts.account(row, 1, extras.get(row[0], (None,))[0] or 0)
        self._db.executemany(
            "INSERT OR REPLACE INTO event_extra (id, logged_nusd, web_searches, credits_milli) VALUES (?, ?, ?, ?)",
            [(identity, *extra) for identity, extra in extras.items()],
        )

    def sums(self, session: Session, sums: Sequence[int], flags: int, at_ms: int) -> bool:
        """Store a session by its sums alone (as in `accounts.SUMS`); False = it is known here, nothing has changed."""
        if self._writer.sessions.get(session.agent, session.id).last_ms:
            return False
        row = self._writer.sessions.merge(session)
        self._writer.sessions.moved.clear()
        self._writer.sessions.write()
        place = (session.last_ms // SLOT_MS, row.project, self.names.model("", session.model), flags)
        put_sums(self._db, row.id, place, sums, at_ms)
        self._writer.counting.imported.add(row.id)
        self._writer.accounts.add(row.id, place, sums)
        if flags & FLAG_ESTIMATED:
            row.estimated = 1
        return True

    def totals(self, session: int, rows: Sequence[tuple[object, ...]]) -> None:
        """Running totals of another store, where there are none here; they are settled there already."""
        if rows and session not in self._writer.totals.known:
            self._writer.totals.known.add(session)
            places = ", ".join("?" * len(rows[0]))
            self._db.executemany(
                f"INSERT OR IGNORE INTO running_total VALUES ({places})",
                [(session, *row[1:]) for row in rows],
            )
