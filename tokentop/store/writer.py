"""The one writer: facts, rollups and cursors of a batch in one transaction, each event counted once."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL: 4 ms of every start
except ImportError:
    from hashlib import blake2b
from typing import Protocol

import msgspec
from msgspec import Struct, structs

from tokentop.engine.growth import next_total
from tokentop.engine.heard import SAME_MS
from tokentop.engine.hidden import Total
from tokentop.engine.pace import worth_keeping
from tokentop.model import (  # fmt: skip
    Context,
    Cursor,
    Diagnostic,
    Fact,
    Figures,
    Forecast,
    Kind,
    Priced,
    Quota,
    Receipt,
    RunningTotal,
    Session,
    Spawn,
    Tokens,
    Usage,
)

from .flags import (
    FLAG_AT_ESTIMATED,
    FLAG_COST_ESTIMATED,
    FLAG_ESTIMATED,
    FLAG_HIDDEN,
    FLAG_SALVAGED,
    FLAG_TELEMETRY,
    FLAG_UNKNOWN,
    FLAG_UNPRICED,
    kind_of,
)
from .hours import SLOT_MS
from .listed import Listed
from .purging import purge_some, put_sums, take_sums
from .sessions import SessionCache, SessionRow, erase_titles

_EVENT = (
    "id", "session", "at_ms", "took_ms", "model", "tier", "flags", "input", "cache_read", "cache_write_5m",
    "cache_write_1h", "output", "reasoning", "cost_nusd",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(_EVENT)} FROM event WHERE id IN (SELECT value FROM json_each(?))"
_PUT = (
    f"INSERT INTO event ({', '.join(_EVENT)}) VALUES ({', '.join('?' * len(_EVENT))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{c}=excluded.{c}' for c in _EVENT[1:])}"
)
_SUMS = (
    "responses", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd",
    "unpriced_tokens", "unknown_calls", "logged_nusd",
)  # fmt: skip
_OF_SESSION = _SUMS[:-1]
_ROLL = (
    f"INSERT INTO rollup (slot, project, model, flags, {', '.join(_SUMS)}) VALUES ({', '.join('?' * 15)}) "
    f"ON CONFLICT (slot, project, model, flags) DO UPDATE SET {', '.join(f'{c}={c}+excluded.{c}' for c in _SUMS)}"
)
_CURSOR = (
    "INSERT INTO cursor (path, agent, dev, ino, head_len, head_hash, offset, tail_hash, size, mtime_ns, agent_version,"
    " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET agent=excluded.agent,"
    " dev=excluded.dev, ino=excluded.ino, head_len=excluded.head_len, head_hash=excluded.head_hash,"
    " offset=excluded.offset, tail_hash=excluded.tail_hash, size=excluded.size, mtime_ns=excluded.mtime_ns,"
    " agent_version=excluded.agent_version, state=excluded.state"
)

_HEARD = (
    f"SELECT t.request, {', '.join(f'e.{c}' for c in _EVENT)} FROM telemetry t JOIN event e ON e.id = t.id"
    f" WHERE e.flags & {FLAG_TELEMETRY} AND t.session IN (SELECT value FROM json_each(?))"
)
_INT64 = (1 << 63) - 1
KEEP_READINGS_MS = 8 * 86_400_000  # of plan limits: the longest common window and a day
MAX_EVENT_NUSD = 10_000 * 10**9  # no response costs more; forged counts must not overflow the sums

EventRow = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int | None]


class PriceLike(Protocol):
    @property
    def nusd(self) -> int | None: ...
    @property
    def estimated(self) -> bool: ...


class Prices(Protocol):
    def price(
        self, *, provider: str, model: str, at_ms: int, tokens: Tokens, tier: str = "", geo: str = "",
        web_searches: int = 0, cumulative: bool = False,
    ) -> PriceLike: ...  # fmt: skip


class Committed(Struct):
    """What a commit changed: recent events, and the sessions it touched with their sums."""

    priced: list[Priced]
    sessions: list[tuple[Session, Figures]]
    events: int
    duplicates: int


def event_id(agent: str, key: str) -> int:
    """The 63-bit identity of an event: a hash of its natural key, the same on every machine."""
    return int.from_bytes(blake2b(f"{agent}\0{key}".encode(), digest_size=8).digest(), "big") >> 1


class Writer:
    """Owns the write connection; one thread only."""

    def __init__(self, connection: sqlite3.Connection, prices: Prices, keep_titles: bool = True) -> None:
        self._db = connection
        self._prices = prices
        if not keep_titles:
            erase_titles(connection)
        self._sessions = SessionCache(connection, keep_titles)
        self._models: dict[tuple[str, str], int] = {}
        self._tiers: dict[tuple[str, str], int] = {}
        self._sums: dict[tuple[int, int, int, int], list[int]] = {}
        self._rows: list[EventRow] = []
        self._with_totals = Listed(connection, "running_total")
        self._any_purged = connection.execute("SELECT 1 FROM purged_call LIMIT 1").fetchone() is not None
        self._imported = Listed(connection, "imported_sum")
        self._unsettled: set[int] = set()
        self._links = False
        # Whether any event is known from telemetry alone: without one no commit looks for it.
        self._heard = connection.execute("SELECT 1 FROM telemetry LIMIT 1").fetchone() is not None
        self._readings: dict[
            tuple[str, str, str, int], tuple[int, float]
        ] = {}  # the last of each limit window

    @property
    def connection(self) -> sqlite3.Connection:
        return self._db

    def commit(
        self, facts: Sequence[Fact], cursors: Sequence[Cursor] = (), *, recent_ms: int = 1 << 62,
        forget: Iterable[tuple[str, str]] = (),
    ) -> Committed:  # fmt: skip
        """Store a batch. Only events and sessions since `recent_ms` are reported back.

        Raises sqlite3.Error; then nothing of the batch is stored and the cursors have not moved.
        """
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for agent, sid in forget:
                self._forget(self._sessions.get(agent, sid))
            committed = self._apply(facts, recent_ms)
            db.executemany(_CURSOR, [_cursor_values(cursor) for cursor in cursors])
            db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        self._sessions.trim()
        return committed

    def _rollback(self) -> None:
        """SQLite may have rolled back by itself (disk full): memory starts again from the file."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._sessions.clear()
        self._models.clear()
        self._tiers.clear()
        self._sums.clear()
        self._rows.clear()
        self._unsettled.clear()
        self._imported.look_again()
        self._with_totals.look_again()
        self._readings.clear()

    def _apply(self, facts: Sequence[Fact], recent_ms: int) -> Committed:
        usages: dict[int, Usage] = {}
        health: dict[tuple[str, str, str], int] = {}
        duplicates = 0
        for fact in facts:
            kind = type(fact)
            if kind is Usage:
                assert isinstance(fact, Usage)
                identity = event_id(fact.agent, fact.key)
                known = usages.get(identity)
                if known is None:
                    usages[identity] = fact
                else:
                    usages[identity] = self._better(known, fact)
                    duplicates += 1
            elif kind is Session:
                assert isinstance(fact, Session)
                self._sessions.merge(fact)
                self._links = self._links or bool(fact.tool_use_id)
            elif isinstance(fact, Context):
                self._sessions.context(fact)
            elif isinstance(fact, RunningTotal):
                self._running_total(fact)
            elif isinstance(fact, Spawn):
                self._db.execute(
                    "INSERT OR REPLACE INTO spawn VALUES (?, ?)", (fact.tool_use_id, fact.session_id)
                )
                self._links = True
            elif isinstance(fact, Quota):
                self._quota(fact)
            elif isinstance(fact, Diagnostic):
                place = (fact.source, fact.kind, fact.detail)
                health[place] = health.get(place, 0) + fact.count
        for row, unknown in self._sessions.moved:
            self._move(row, unknown)
        self._sessions.moved.clear()
        for row in self._sessions.named:
            self._name(row)
        self._sessions.named.clear()
        priced, again = self._events(usages, recent_ms)
        duplicates += again
        if duplicates:
            health["", "duplicate", ""] = duplicates
        self._health(health)
        return self._finish(priced, recent_ms, len(usages), duplicates)

    def _finish(self, priced: list[Priced], recent_ms: int, events: int, duplicates: int) -> Committed:
        """Write what was gathered: events, rollups, sessions, and which running totals need settling."""
        self._db.executemany(_PUT, self._rows)
        self._rows.clear()
        self._sum_up()
        dirty = self._sessions.write()
        if self._links:
            self._links = False
            self._link()
            dirty += self._sessions.write()
        if self._unsettled:
            self._db.executemany(
                "INSERT OR IGNORE INTO unsettled VALUES (?)", [(s,) for s in self._unsettled]
            )
            self._unsettled.clear()
        touched = [(row.session(), row.figures()) for row in dirty if row.last_ms >= recent_ms]
        return Committed(priced, touched, events, duplicates)

    # ------------------------------------------------------------ what another store holds

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction of `adopt_*`; sums and sessions are written at its end."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._finish([], 1 << 62, 0, 0)
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        self._sessions.trim()

    def adopt_session(self, session: Session) -> int:
        """Merge what another store says of a session; return its id here. What is said here stays."""
        known = self._sessions.get(session.agent, session.id)
        if known.last_ms:  # its log was read here: only what it lacks is taken
            said = known.session()
            session = msgspec.structs.replace(
                session, cwd=said.cwd or session.cwd, branch=said.branch or session.branch,
                title=said.title or session.title, title_rank=max(said.title_rank, session.title_rank),
                model=said.model or session.model, log_path=said.log_path or session.log_path,
            )  # fmt: skip
        row = self._sessions.merge(session)
        for moved, unknown in self._sessions.moved:
            self._move(moved, unknown)
        self._sessions.moved.clear()
        self._sessions.named.clear()
        return row.id

    def adopt_context(self, context: Context) -> None:
        self._sessions.context(context)

    def known_calls(self, ids: Sequence[int]) -> set[int]:
        """Which calls are stored, or were purged."""
        wanted = json.dumps(list(ids))
        query = "SELECT id FROM {} WHERE id IN (SELECT value FROM json_each(?))"
        found = self._db.execute(query.format("event"), (wanted,)).fetchall()
        found += self._db.execute(query.format("purged_call"), (wanted,)).fetchall()
        return {row[0] for row in found}

    def adopt_calls(
        self, rows: Sequence[EventRow], extras: Mapping[int, tuple[int | None, int, int | None]]
    ) -> None:
        """Store calls as they are, with what goes with them: (logged cost, web searches, credits)."""
        for session in {row[1] for row in rows}:
            if session in self._imported:
                self._drop_imported(session)
        for row in rows:
            self._rows.append(row)
            self._account(row, 1, extras.get(row[0], (None,))[0] or 0)
        self._db.executemany(
            "INSERT OR REPLACE INTO event_extra (id, logged_nusd, web_searches, credits_milli) VALUES (?, ?, ?, ?)",
            [(identity, *extra) for identity, extra in extras.items()],
        )

    def adopt_sums(self, session: Session, sums: Sequence[int], flags: int, at_ms: int) -> bool:
        """Store a session by its sums alone (as in `_SUMS`); False = it is known here, nothing has changed."""
        if self._sessions.get(session.agent, session.id).last_ms:
            return False
        row = self._sessions.merge(session)
        self._sessions.moved.clear()
        self._sessions.write()
        place = (session.last_ms // SLOT_MS, row.project, self.model_id("", session.model), flags)
        put_sums(self._db, row.id, place, sums, at_ms)
        self._imported.add(row.id)
        self._add_sums(row.id, place, sums)
        if flags & FLAG_ESTIMATED:
            row.estimated = 1
        return True

    def adopt_totals(self, session: int, rows: Sequence[tuple[object, ...]]) -> None:
        """Running totals of another store, where there are none here; they are settled there already."""
        if rows and session not in self._with_totals:
            self._with_totals.add(session)
            places = ", ".join("?" * len(rows[0]))
            self._db.executemany(
                f"INSERT OR IGNORE INTO running_total VALUES ({places})",
                [(session, *row[1:]) for row in rows],
            )

    def model_id(self, provider: str, name: str) -> int:
        return self._models.get((provider, name)) or self._model(provider, name)

    def tier_id(self, tier: str, geo: str) -> int:
        return self._tier(tier, geo) if tier or geo else 0

    def purge(self, ids: Sequence[int], at_ms: int, *, forget: bool = False) -> int:
        """Take the single calls of sessions out, in one transaction; return how many. sqlite3.Error."""
        self._any_purged = True
        return purge_some(self._db, ids, at_ms, forget=forget)

    # ------------------------------------------------------------ events

    def _events(self, usages: dict[int, Usage], recent_ms: int) -> tuple[list[Priced], int]:
        again = self._drop_purged(usages) if self._any_purged and usages else 0
        if not usages:
            return [], again
        stored = {row[0]: row for row in self._db.execute(_SELECT, (json.dumps(list(usages)),))}
        logged = self._logged(stored)
        priced = self._replace_heard(usages) if self._heard else []
        for identity, usage in usages.items():
            if stored and identity in stored:
                merged = self._merge_stored(stored[identity], usage)
                if merged is None:
                    continue
                usage = merged
                self._account(stored[identity], -1, logged.get(identity, 0))
            row = self._put(identity, usage)
            if usage.at_ms >= recent_ms:
                estimated = row[6] & (FLAG_COST_ESTIMATED | FLAG_ESTIMATED)
                priced.append(Priced(identity, usage, row[13], bool(estimated)))
        return priced, len(stored) + again

    def _drop_imported(self, session: int) -> None:
        """Its calls are read here now: the sums that were imported for them go."""
        self._imported.discard(session)
        place, sums = take_sums(self._db, session)
        self._add_sums(session, place, [-one for one in sums])

    def _add_sums(self, session: int, place: tuple[int, int, int, int], sums: Sequence[int]) -> None:
        row = self._sessions.by_id(session)
        row.dirty = True
        for name, value in zip(_OF_SESSION, sums, strict=False):
            setattr(row, name, getattr(row, name) + value)
        self._db.execute(_ROLL, (*place, *sums))

    def _drop_purged(self, usages: dict[int, Usage]) -> int:
        """Leave out calls that were purged: their sums are here. Return how many."""
        rows = self._db.execute(
            "SELECT id FROM purged_call WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(usages)),),
        ).fetchall()
        for (identity,) in rows:
            del usages[identity]
        return len(rows)

    def _put(self, identity: int, usage: Usage) -> EventRow:
        """Note an event to be stored and summed up."""
        row = self._row(identity, usage)
        if row[1] in self._imported:
            self._drop_imported(row[1])
        self._rows.append(row)
        self._account(row, 1, usage.logged_nusd or 0)
        if usage.web_searches or usage.logged_nusd is not None or usage.credits_milli is not None:
            self._db.execute(
                "INSERT OR REPLACE INTO event_extra (id, logged_nusd, web_searches, credits_milli) VALUES (?, ?, ?, ?)",
                (identity, usage.logged_nusd, usage.web_searches, usage.credits_milli),
            )
        if usage.telemetry:
            self._heard = True
            request = event_id(usage.agent, usage.request_id) if usage.request_id else 0
            root = self._sessions.get(usage.agent, usage.session_id.partition("/")[0])
            self._db.execute("INSERT OR IGNORE INTO telemetry VALUES (?, ?, ?)", (identity, root.id, request))
        return row

    def _replace_heard(self, usages: dict[int, Usage]) -> list[Priced]:
        """Take out what telemetry alone had told of the calls that a log tells now; with nothing left of each."""
        logged: dict[int, list[Usage]] = {}
        for usage in usages.values():
            if not usage.telemetry and usage.tokens.total:
                root = self._sessions.get(usage.agent, usage.session_id.partition("/")[0])
                logged.setdefault(root.id, []).append(usage)
        if not logged:
            return []
        known = self._db.execute(_HEARD, (json.dumps(list(logged)),)).fetchall()
        gone: list[EventRow] = []
        emptied = []
        for request, *row in known:
            identity, session, at_ms, *_ = row
            owner = self._sessions.by_id(session)
            root = self._sessions.get(owner.agent, owner.sid.partition("/")[0])
            mine = logged[root.id]
            same = next((u for u in mine if is_same_call(u, request, at_ms, Tokens(*row[7:13]))), None)
            if same is None or event_id(same.agent, same.key) == identity:
                continue
            mine.remove(same)
            if row[3] and not same.duration_ms and not same.at_estimated:
                start_ms = at_ms - row[3]
                usages[event_id(same.agent, same.key)] = structs.replace(
                    same, start_ms=start_ms, duration_ms=row[3]
                )
            gone.append(tuple(row))
            nothing = Usage(owner.agent, owner.sid, "", at_ms, "", Tokens(), kind=Kind.UNKNOWN)
            emptied.append(Priced(identity, nothing, 0))
        self._take_out(gone)
        for table in ("event", "event_extra", "telemetry"):
            self._db.executemany(f"DELETE FROM {table} WHERE id=?", [(row[0],) for row in gone])
        return emptied

    def _logged(self, identities: Iterable[int]) -> dict[int, int]:
        """What the agents themselves logged as the cost of stored events."""
        wanted = list(identities)
        if not wanted:
            return {}
        found = self._db.execute(
            "SELECT id, logged_nusd FROM event_extra WHERE logged_nusd IS NOT NULL"
            " AND id IN (SELECT value FROM json_each(?))",
            (json.dumps(wanted),),
        )
        return dict(found.fetchall())

    def _better(self, known: Usage, new: Usage) -> Usage:
        """Two records of one response: the higher output counts, the earliest time stays, the owner stays."""
        base = new if _says_more(new) > _says_more(known) else known
        owner = known.session_id
        if known.session_id != new.session_id:
            one, two = (self._sessions.get(known.agent, s) for s in (known.session_id, new.session_id))
            owner = min(one, two, key=lambda row: row.owner_rank).sid
        return msgspec.structs.replace(
            base, session_id=owner, at_ms=_earliest(known, new),
            at_estimated=known.at_estimated and new.at_estimated,
            start_ms=known.start_ms or new.start_ms, duration_ms=max(known.duration_ms, new.duration_ms),
            estimated=known.estimated and new.estimated, telemetry=known.telemetry and new.telemetry,
        )  # fmt: skip

    def _merge_stored(self, old: EventRow, usage: Usage) -> Usage | None:
        """The merged usage where the stored row has to change, else None."""
        if old[6] & FLAG_SALVAGED:
            return usage
        row = self._sessions.by_id(old[1])
        tokens = Tokens(*old[7:13])
        known = msgspec.structs.replace(
            usage, session_id=row.sid, at_ms=old[2], tokens=tokens, start_ms=0, duration_ms=old[3],
            estimated=bool(old[6] & FLAG_ESTIMATED), at_estimated=bool(old[6] & FLAG_AT_ESTIMATED),
            kind=kind_of(old[6]), telemetry=bool(old[6] & FLAG_TELEMETRY),
        )  # fmt: skip
        merged = self._better(known, usage)
        return None if merged == msgspec.structs.replace(known, start_ms=merged.start_ms) else merged

    def _row(self, identity: int, usage: Usage) -> EventRow:
        """The event as stored, priced."""
        tokens, session = usage.tokens, self._sessions.get(usage.agent, usage.session_id)
        name = usage.model or session.model
        hidden = usage.kind is Kind.HIDDEN
        flags = FLAG_HIDDEN if hidden else 0
        if usage.estimated:
            flags |= FLAG_ESTIMATED
        if usage.at_estimated:
            flags |= FLAG_AT_ESTIMATED
        if usage.telemetry:
            flags |= FLAG_TELEMETRY
        cost: int | None
        if usage.kind is Kind.UNKNOWN or (hidden and not tokens.total):
            # Money without tokens: what the agent logged is all there is.
            flags, cost = flags | FLAG_UNKNOWN, _plausible(usage.logged_nusd)
        else:
            price = self._prices.price(
                provider=usage.provider, model=name, at_ms=usage.at_ms, tokens=tokens, tier=usage.tier,
                geo=usage.geo, web_searches=usage.web_searches, cumulative=hidden,
            )  # fmt: skip
            cost = _plausible(price.nusd)
            if cost is None:
                flags |= FLAG_UNPRICED
            elif price.estimated:
                flags |= FLAG_COST_ESTIMATED
        model = self._models.get((usage.provider, name)) or self._model(usage.provider, name)
        tier = self._tier(usage.tier, usage.geo) if usage.tier or usage.geo else 0
        return (
            identity, session.id, usage.at_ms, max(0, usage.duration_ms),
            model, tier, flags, tokens.input, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h,
            tokens.output, tokens.reasoning, cost,
        )  # fmt: skip

    def _account(self, row: EventRow, sign: int, logged_nusd: int) -> None:
        """Note an event to be added to (or taken from) its session and its rollup; `_sum_up` does it."""
        _, session, at_ms, _, model, _, flags, fresh, read, short, long, output, reasoning, cost = row
        key = (at_ms // SLOT_MS, session, model, flags)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * 12
        sums[0] += sign
        sums[1] += sign * fresh
        sums[2] += sign * read
        sums[3] += sign * short
        sums[4] += sign * long
        sums[5] += sign * output
        sums[6] += sign * reasoning
        if cost is None:
            sums[8] += sign * (fresh + read + short + long + output)
        else:
            sums[7] += sign * cost
        if flags & FLAG_UNKNOWN:
            sums[9] += sign
        sums[10] += sign * logged_nusd
        if at_ms > sums[11]:
            sums[11] = at_ms

    def _sum_up(self) -> None:
        """Bring what was noted into the sessions and, as differences, into the rollups."""
        rollup: dict[tuple[int, int, int, int], list[int]] = {}
        for (slot, session_id, model, flags), sums in self._sums.items():
            newest_ms = sums.pop()
            if flags & (FLAG_HIDDEN | FLAG_UNKNOWN):
                sums[0] = 0
            session = self._sessions.by_id(session_id)
            session.dirty = True
            for name, value in zip(_OF_SESSION, sums, strict=False):
                if value:
                    setattr(session, name, getattr(session, name) + value)
            if flags & (FLAG_ESTIMATED | FLAG_COST_ESTIMATED) and max(sums) > 0:
                session.estimated = 1
            session.last_ms = max(session.last_ms, newest_ms)
            if session_id in self._with_totals or "/" in session.sid:
                self._touch_total(session)
            key = (slot, session.project, model, flags)
            known = rollup.get(key)
            rollup[key] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
        self._sums.clear()
        self._db.executemany(_ROLL, [(*key, *sums) for key, sums in rollup.items() if any(sums)])

    def _touch_total(self, session: SessionRow) -> None:
        """The session's running total, if it has one, covers this event: settle again."""
        root = session.sid.partition("/")[0]
        row = session if root == session.sid else self._sessions.get(session.agent, root)
        if row.id in self._with_totals:
            self._unsettled.add(row.id)

    def _move(self, session: SessionRow, unknown: int) -> None:
        """A session whose project became known after its first events: move them in the rollup."""
        sums = ", ".join(f"sum({name})" for name in _SUMS[1:7])
        groups = self._db.execute(
            f"SELECT at_ms / {SLOT_MS}, model, flags, sum(NOT flags & {FLAG_HIDDEN | FLAG_UNKNOWN}), {sums},"
            " coalesce(sum(cost_nusd), 0), coalesce(sum(CASE WHEN cost_nusd IS NULL THEN"
            " input + cache_read + cache_write_5m + cache_write_1h + output END), 0),"
            f" sum(flags & {FLAG_UNKNOWN} != 0), coalesce(sum(logged_nusd), 0)"
            " FROM event LEFT JOIN event_extra USING (id) WHERE session=? GROUP BY 1, 2, 3",
            (session.id,),
        ).fetchall()
        self._db.executemany(
            _ROLL,
            [(slot, unknown, model, flags, *(-v for v in values)) for slot, model, flags, *values in groups],
        )
        self._db.executemany(_ROLL, [(slot, session.project, *rest) for slot, *rest in groups])

    def _name(self, session: SessionRow) -> None:
        """A session whose model became known after its first events: they are priced and summed up anew."""
        columns = ", ".join(f"e.{name}" for name in _EVENT)
        found = self._db.execute(
            f"SELECT {columns}, m.provider, coalesce(t.tier, ''), coalesce(t.geo, '') FROM event e"
            " JOIN model m ON m.id = e.model LEFT JOIN tier t ON t.id = e.tier WHERE e.session=? AND m.name=''",
            (session.id,),
        ).fetchall()
        logged = self._logged(row[0] for row in found)
        for *row, provider, tier, geo in found:
            identity, _, at_ms, took_ms, _, _, flags, *counts, _ = row
            self._account(tuple(row), -1, logged.get(identity, 0))
            self._put(
                identity,
                Usage(
                    session.agent, session.sid, "", at_ms, session.model, Tokens(*counts), provider, took_ms, tier,
                    geo, logged_nusd=logged.get(identity), kind=kind_of(flags),
                    estimated=bool(flags & FLAG_ESTIMATED), at_estimated=bool(flags & FLAG_AT_ESTIMATED),
                    telemetry=bool(flags & FLAG_TELEMETRY),
                ),
            )  # fmt: skip

    def _forget(self, session: SessionRow) -> None:
        """Take the events that a log told out of every sum: it is read anew by other rules."""
        of_log = f"session=? AND NOT flags & {FLAG_TELEMETRY}"
        rows = self._db.execute(
            f"SELECT {', '.join(_EVENT)} FROM event WHERE {of_log}", (session.id,)
        ).fetchall()
        self._take_out(rows)
        self._db.execute(f"DELETE FROM event WHERE {of_log}", (session.id,))
        session.estimated = 0

    def _take_out(self, rows: Sequence[EventRow]) -> None:
        logged = self._logged(row[0] for row in rows)
        for row in rows:
            self._account(row, -1, logged.get(row[0], 0))

    # ------------------------------------------------------------ settling running totals

    def put_hidden(self, session_id: int, usages: Sequence[Usage], recent_ms: int = 1 << 62) -> Committed:
        """Replace the hidden events of a session by `usages` and call its running total settled."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            wanted = {event_id(usage.agent, usage.key): usage for usage in usages}
            old = db.execute(
                f"SELECT {', '.join(_EVENT)} FROM event WHERE session=? AND flags & {FLAG_HIDDEN}",
                (session_id,),
            ).fetchall()
            self._take_out(old)
            gone = [(row[0],) for row in old if row[0] not in wanted]
            db.executemany("DELETE FROM event WHERE id=?", gone)
            priced = []
            for identity, usage in wanted.items():
                new = self._put(identity, usage)
                if usage.at_ms >= recent_ms:
                    priced.append(Priced(identity, usage, new[13], bool(new[6] & FLAG_COST_ESTIMATED)))
            self._unsettled.clear()
            committed = self._finish(priced, recent_ms, len(wanted), 0)
            db.execute("DELETE FROM unsettled WHERE session=?", (session_id,))
            db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        return committed

    def _running_total(self, fact: RunningTotal) -> None:
        row = self._sessions.get(fact.agent, fact.session_id)
        if row.dirty:
            self._sessions.write()
        if fact.only:
            grown = next_total(totals_of(self._db, row.id), fact)
            if grown is None:
                return
            fact = grown
        self._with_totals.add(row.id)
        self._unsettled.add(row.id)
        self._db.executemany(
            "INSERT OR REPLACE INTO running_total VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (row.id, fact.n, model, fact.at_ms, fact.started_ms, t.input, t.cache_read, t.cache_write_5m,
                 t.cache_write_1h, t.output, t.reasoning, cost, fact.provider)
                for model, t, cost in fact.models
            ],
        )  # fmt: skip
        forks = self._db.execute(
            "SELECT id FROM session WHERE agent=? AND parent_sid=? AND role='fork'",
            (fact.agent, fact.session_id),
        )
        self._unsettled.update(fork for (fork,) in forks if fork in self._with_totals)

    # ------------------------------------------------------------ small tables

    def _link(self) -> None:
        """Nested sub-agents that do not name their parent belong to whoever made the tool call."""
        waiting = self._db.execute(
            "SELECT s.agent, s.sid, p.sid FROM session s JOIN spawn p ON p.tool_use_id = s.tool_use_id"
            " WHERE s.tool_use_id != '' AND s.parent_sid != p.sid AND s.sid != p.sid"
        )
        for agent, sid, parent in waiting.fetchall():
            self._sessions.merge(Session(agent, sid, parent_id=parent))

    def _quota(self, fact: Quota) -> None:
        put_quota(self._db, fact)
        key = (fact.provider, fact.account, fact.limit_id, fact.window_minutes)
        last = self._readings.get(key)
        oldest_ms = (last[0] if last else fact.at_ms) - KEEP_READINGS_MS
        if fact.at_ms < oldest_ms or not worth_keeping(last, fact.at_ms, fact.used_pct):
            return
        self._readings[key] = fact.at_ms, fact.used_pct
        same = "provider=? AND account=? AND limit_id=? AND window_minutes=?"
        self._db.execute("INSERT OR REPLACE INTO quota_reading VALUES (?, ?, ?, ?, ?, ?)",
                         (*key, fact.at_ms, fact.used_pct))  # fmt: skip
        self._db.execute(f"DELETE FROM quota_reading WHERE {same} AND at_ms < ?", (*key, oldest_ms))

    def _health(self, health: dict[tuple[str, str, str], int]) -> None:
        if health:
            self._db.executemany(
                "INSERT INTO health VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count=count+excluded.count",
                [(*place, count) for place, count in health.items()],
            )

    def projection(self, forecast: Forecast) -> None:
        """Store a projection, so that its error can be known later."""
        self._db.execute(
            "INSERT OR REPLACE INTO projection (at_ms, day, today_nusd, projected_nusd, low_nusd, high_nusd, method,"
            " low_half_nusd, high_half_nusd, month_nusd) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (forecast.at_ms, forecast.day, forecast.today_nusd, forecast.projected_nusd, forecast.low_nusd,
             forecast.high_nusd, forecast.method, forecast.low_half_nusd, forecast.high_half_nusd,
             forecast.month.projected_nusd if forecast.month else None),
        )  # fmt: skip

    def action(self, receipt: Receipt) -> None:
        """Append a receipt to the action log."""
        append_action(self._db, receipt)

    def action_watched(self, receipt: Receipt) -> None:
        """Replace a receipt by the same one with what was spent afterwards."""
        replace_action(self._db, receipt)

    def _model(self, provider: str, name: str) -> int:
        return self._intern(self._models, "model", ("provider", "name"), (provider, name))

    def _tier(self, tier: str, geo: str) -> int:
        return self._intern(self._tiers, "tier", ("tier", "geo"), (tier, geo))

    def _intern(
        self, known: dict[tuple[str, str], int], table: str, columns: tuple[str, str], key: tuple[str, str]
    ) -> int:
        number = known.get(key)
        if number is None:
            self._db.execute(f"INSERT OR IGNORE INTO {table} ({columns[0]}, {columns[1]}) VALUES (?, ?)", key)
            found = self._db.execute(f"SELECT id FROM {table} WHERE {columns[0]}=? AND {columns[1]}=?", key)
            number = known[key] = int(found.fetchone()[0])
        return number


def totals_of(db: sqlite3.Connection, session: int) -> list[Total]:
    """The running totals of a session, in order."""
    by_n: dict[int, Total] = {}
    rows = db.execute(
        "SELECT n, at_ms, started_ms, provider, model, cost_nusd, input, cache_read, cache_write_5m, cache_write_1h,"
        " output, reasoning FROM running_total WHERE session=? ORDER BY n",
        (session,),
    )
    for n, at_ms, started_ms, provider, model, cost, *counts in rows:
        total = by_n.setdefault(n, Total(n, at_ms, started_ms, {}, {}, provider))
        total.models[model], total.costs[model] = Tokens(*counts), cost
    return list(by_n.values())


def is_same_call(logged: Usage, request: int, at_ms: int, tokens: Tokens) -> bool:
    """Whether a log's record is the call that telemetry told: by the id of the request, else by its counts and time.

    `request` is the `event_id` of the request's own id, 0 = it was not told.
    """
    if request and logged.request_id:
        return event_id(logged.agent, logged.request_id) == request
    same = structs.replace(logged.tokens, reasoning=0) == structs.replace(
        tokens, reasoning=0
    )  # not all tell it
    return same and abs(logged.at_ms - at_ms) <= SAME_MS


def _says_more(usage: Usage) -> tuple[bool, int, int, bool]:
    tokens = usage.tokens
    return usage.kind is not Kind.UNKNOWN, tokens.output, tokens.total, bool(usage.tier)


def _earliest(known: Usage, new: Usage) -> int:
    """The earlier time of two records; one that the log tells before one that was only seen."""
    if known.at_estimated != new.at_estimated:
        return (new if known.at_estimated else known).at_ms
    return min(known.at_ms or new.at_ms, new.at_ms or known.at_ms)


def _plausible(nusd: int | None) -> int | None:
    return nusd if nusd is not None and 0 <= nusd <= MAX_EVENT_NUSD else None


def put_quota(connection: sqlite3.Connection, fact: Quota) -> None:
    """Store a limit; the newest word on it stays."""
    connection.execute(
        "INSERT INTO quota VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET used_pct=excluded.used_pct,"
        " resets_at_ms=excluded.resets_at_ms, source=excluded.source, at_ms=excluded.at_ms,"
        " plan=CASE excluded.plan WHEN '' THEN plan ELSE excluded.plan END"
        " WHERE excluded.at_ms >= at_ms",
        (fact.provider, fact.account, fact.limit_id, fact.window_minutes, fact.used_pct, fact.resets_at_ms,
         fact.source, fact.at_ms, fact.plan),
    )  # fmt: skip


def append_action(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Append a receipt to the action log."""
    connection.execute(
        "INSERT INTO action (at_ms, action, reason, agent, sid, pid, result, receipt) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (receipt.at_ms, receipt.action, receipt.reason, receipt.agent, receipt.session_id, receipt.pid,
         receipt.result, msgspec.json.encode(receipt).decode()),
    )  # fmt: skip


def replace_action(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Replace the stored receipt of the same action, if it is there."""
    connection.execute(
        "UPDATE action SET receipt=? WHERE id=("
        "SELECT max(id) FROM action WHERE at_ms=? AND action=? AND pid=? AND sid=?)",
        (msgspec.json.encode(receipt).decode(), *receipt.key),
    )


def _cursor_values(cursor: Cursor) -> tuple[object, ...]:
    """A path that is no valid text is stored as bytes; device and inode numbers are unsigned elsewhere."""
    path: str | bytes = cursor.path
    try:
        cursor.path.encode()
    except UnicodeEncodeError:
        path = os.fsencode(cursor.path)
    return (
        path, cursor.agent, cursor.dev & _INT64, cursor.ino & _INT64, cursor.head_len, cursor.head_hash, cursor.offset,
        cursor.tail_hash, cursor.size, cursor.mtime_ns, cursor.agent_version, cursor.state,
    )  # fmt: skip
