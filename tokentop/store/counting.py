"""A call becomes a row, counted once: what was stored, purged, imported or heard of it before is brought together."""

from __future__ import annotations

import json
import sqlite3
from typing import Protocol

from msgspec import structs

from tokentop.nouns.usage import Kind, Priced, Tokens, Usage

from .accounts import Accounts
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
from .hours import HOUR_MS, hour
from .listed import Listed
from .merging import EventRow, better, event_id, is_same_call, plausible
from .names import Names
from .purging import take_sums
from .sessions import SessionCache, SessionRow

EVENT = (
    "id", "session", "at_ms", "took_ms", "model", "tier", "flags", "input", "cache_read", "cache_write_5m",
    "cache_write_1h", "output", "reasoning", "cost_nusd",
)  # fmt: skip
_SELECT = f"SELECT {', '.join(EVENT)} FROM event WHERE id IN (SELECT value FROM json_each(?))"
_STORED = ("id", "session", "hour", "in_hour_ms", *EVENT[3:])
_PUT = (
    f"INSERT INTO event ({', '.join(_STORED)})"
    f" VALUES (?1, ?2, {hour('?3')}, ?3 % {HOUR_MS}, {', '.join('?' * len(EVENT[3:]))})"
    f" ON CONFLICT (id) DO UPDATE SET {', '.join(f'{c}=excluded.{c}' for c in _STORED[1:])}"
)
_HEARD = (
    f"SELECT t.request, {', '.join(f'e.{c}' for c in EVENT)} FROM telemetry t JOIN event e ON e.id = t.id"
    f" WHERE e.flags & {FLAG_TELEMETRY} AND t.session IN (SELECT value FROM json_each(?))"
)


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


def _place(row: EventRow) -> tuple[int, int, int]:
    """Where a row lies in the table: in this order pages fill better, and fewer are turned."""
    return row[1], row[2] // HOUR_MS, row[0]


class Counting:
    """Calls of one transaction, before they are written. Belongs to the writer."""

    def __init__(
        self, db: sqlite3.Connection, prices: Prices, sessions: SessionCache, names: Names, accounts: Accounts
    ) -> None:
        self._db, self._prices = db, prices
        self._sessions, self._names, self._accounts = sessions, names, accounts
        self.rows: list[EventRow] = []
        self.any_purged = db.execute("SELECT 1 FROM purged_call LIMIT 1").fetchone() is not None
        self.imported = Listed(db, "imported_sum")
        # Whether any event is known from telemetry alone: without one no commit looks for it.
        self._heard = db.execute("SELECT 1 FROM telemetry LIMIT 1").fetchone() is not None

    def clear(self) -> None:
        """After a rollback."""
        self.rows.clear()
        self.imported.look_again()

    def write(self) -> None:
        rows = list({row[0]: row for row in self.rows}.values())  # of the same id the last stays
        rows.sort(key=_place)
        self._db.executemany(_PUT, rows)
        self.rows.clear()

    def take(self, usages: dict[int, Usage], recent_ms: int) -> tuple[list[Priced], int]:
        """Note calls to be stored; return those since a time, and how many were known or purged."""
        again = self._drop_purged(usages) if self.any_purged and usages else 0
        if not usages:
            return [], again
        stored = {row[0]: row for row in self._db.execute(_SELECT, (json.dumps(list(usages)),))}
        logged = self._accounts.logged(stored)
        priced = self._replace_heard(usages) if self._heard else []
        for identity, usage in usages.items():
            if stored and identity in stored:
                merged = self._merge_stored(stored[identity], usage)
                if merged is None:
                    continue
                usage = merged
                self._accounts.account(stored[identity], -1, logged.get(identity, 0))
            row = self.put(identity, usage)
            if usage.at_ms >= recent_ms:
                estimated = row[6] & (FLAG_COST_ESTIMATED | FLAG_ESTIMATED)
                priced.append(Priced(identity, usage, row[13], bool(estimated)))
        return priced, len(stored) + again

    def _drop_purged(self, usages: dict[int, Usage]) -> int:
        """Leave out calls that were purged: their sums are here. Return how many."""
        rows = self._db.execute(
            "SELECT id FROM purged_call WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(usages)),),
        ).fetchall()
        for (identity,) in rows:
            del usages[identity]
        return len(rows)

    def drop_imported(self, session: int) -> None:
        """Its calls are read here now: the sums that were imported for them go."""
        self.imported.discard(session)
        place, sums = take_sums(self._db, session)
        self._accounts.add(session, place, [-one for one in sums])

    def put(self, identity: int, usage: Usage) -> EventRow:
        """Note an event to be stored and summed up."""
        row = self._row(identity, usage)
        if row[1] in self.imported:
            self.drop_imported(row[1])
        self.rows.append(row)
        self._accounts.account(row, 1, usage.logged_nusd or 0)
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
            flags, cost = flags | FLAG_UNKNOWN, plausible(usage.logged_nusd)
        else:
            price = self._prices.price(
                provider=usage.provider, model=name, at_ms=usage.at_ms, tokens=tokens, tier=usage.tier,
                geo=usage.geo, web_searches=usage.web_searches, cumulative=hidden,
            )  # fmt: skip
            cost = plausible(price.nusd)
            if cost is None:
                flags |= FLAG_UNPRICED
            elif price.estimated:
                flags |= FLAG_COST_ESTIMATED
        model, tier = self._names.model(usage.provider, name), self._names.tier(usage.tier, usage.geo)
        return (
            identity, session.id, usage.at_ms, max(0, usage.duration_ms),
            model, tier, flags, tokens.input, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h,
            tokens.output, tokens.reasoning, cost,
        )  # fmt: skip

    def together(self, known: Usage, new: Usage) -> Usage:
        """Two records of one response: the higher output counts, the earliest time stays, the owner stays."""
        owner = known.session_id
        if known.session_id != new.session_id:
            one, two = (self._sessions.get(known.agent, s) for s in (known.session_id, new.session_id))
            owner = min(one, two, key=lambda row: row.owner_rank).sid
        return better(known, new, owner)

    def _merge_stored(self, old: EventRow, usage: Usage) -> Usage | None:
        """The merged usage where the stored row has to change, else None."""
        if old[6] & FLAG_SALVAGED:
            return usage
        row = self._sessions.by_id(old[1])
        tokens = Tokens(*old[7:13])
        known = structs.replace(
            usage, session_id=row.sid, at_ms=old[2], tokens=tokens, start_ms=0, duration_ms=old[3],
            estimated=bool(old[6] & FLAG_ESTIMATED), at_estimated=bool(old[6] & FLAG_AT_ESTIMATED),
            kind=kind_of(old[6]), telemetry=bool(old[6] & FLAG_TELEMETRY),
        )  # fmt: skip
        merged = self.together(known, usage)
        return None if merged == structs.replace(known, start_ms=merged.start_ms) else merged

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
        self._accounts.take_out(gone)
        for table in ("event", "event_extra", "telemetry"):
            self._db.executemany(f"DELETE FROM {table} WHERE id=?", [(row[0],) for row in gone])
        return emptied

    def name(self, session: SessionRow) -> None:
        """A session whose model became known after its first events: they are priced and summed up anew."""
        columns = ", ".join(f"e.{name}" for name in EVENT)
        found = self._db.execute(
            f"SELECT {columns}, m.provider, coalesce(t.tier, ''), coalesce(t.geo, '') FROM event e"
            " JOIN model m ON m.id = e.model LEFT JOIN tier t ON t.id = e.tier WHERE e.session=? AND m.name=''",
            (session.id,),
        ).fetchall()
        logged = self._accounts.logged(row[0] for row in found)
        for *row, provider, tier, geo in found:
            identity, _, at_ms, took_ms, _, _, flags, *counts, _ = row
            self._accounts.account(tuple(row), -1, logged.get(identity, 0))
            self.put(
                identity,
                Usage(
                    session.agent, session.sid, "", at_ms, session.model, Tokens(*counts), provider, took_ms, tier,
                    geo, logged_nusd=logged.get(identity), kind=kind_of(flags),
                    estimated=bool(flags & FLAG_ESTIMATED), at_estimated=bool(flags & FLAG_AT_ESTIMATED),
                    telemetry=bool(flags & FLAG_TELEMETRY),
                ),
            )  # fmt: skip

    def forget(self, session: SessionRow) -> None:
        """Take the events that a log told out of every sum: it is read anew by other rules."""
        of_log = f"session=? AND NOT flags & {FLAG_TELEMETRY}"
        rows = self._db.execute(
            f"SELECT {', '.join(EVENT)} FROM event WHERE {of_log}", (session.id,)
        ).fetchall()
        self._accounts.take_out(rows)
        self._db.execute(f"DELETE FROM event WHERE {of_log}", (session.id,))
        session.estimated = 0
