"""Taking over what another tokentop's database holds: sessions, single calls, running totals, receipts.

Calls have the same id on every machine, so a second import, or logs that both have read, change nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from tokentop.agents.decoding import MAX_COUNT
from tokentop.nouns.sessions import Context, Role, Session
from tokentop.text import clean, title

from .adoption import Adoption
from .db import StoreError, open_file
from .flags import FLAG_AT_ESTIMATED, FLAG_ESTIMATED, FLAG_UNPRICED, FLAGS_MAX
from .merging import MAX_EVENT_NUSD, EventRow
from .recover import MAX_MS
from .schema import VERSION
from .sessions import COLUMNS, SessionRow
from .writer import Writer

SLICE = 50  # sessions of one transaction
_EVENT = "id, at_ms, took_ms, flags, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, cost_nusd"
_BAD = " OR ".join(
    f"typeof(e.{column}) != 'integer' OR e.{column} NOT BETWEEN 0 AND {most}"
    for column, most in (
        ("at_ms", MAX_MS), ("took_ms", MAX_MS), ("flags", FLAGS_MAX), ("input", MAX_COUNT), ("cache_read", MAX_COUNT),
        ("cache_write_5m", MAX_COUNT), ("cache_write_1h", MAX_COUNT), ("output", MAX_COUNT), ("reasoning", MAX_COUNT),
    )
)  # fmt: skip
_GOOD = (
    f"NOT ({_BAD}) AND (e.cost_nusd IS NULL OR (typeof(e.cost_nusd) = 'integer' AND e.cost_nusd BETWEEN 0 AND"
    f" {MAX_EVENT_NUSD}))"
)


class Adopted(Struct):
    """What an import has brought so far."""

    sessions: int = 0  # looked at
    calls: int = 0  # new
    known: int = 0  # calls that were here already
    unusable: int = 0  # calls with impossible figures
    cut: bool = False  # the list is not whole: there were more sessions than its limit


def adopt(writer: Writer, path: Path) -> Iterator[tuple[Adopted, int]]:
    """Import a database slice by slice; gives (what was brought so far, sessions in all) after each.

    Raises StoreError where the file is no database of tokentop or of a newer one, sqlite3.Error.
    """
    other = _opened(path)
    try:
        done, into = Adopted(), Adoption(writer)
        total = int(other.execute("SELECT count(*) FROM session").fetchone()[0])
        query = f"SELECT {', '.join(COLUMNS)} FROM session WHERE id > ? ORDER BY id LIMIT ?"
        last = -(1 << 62)
        while rows := other.execute(query, (last, SLICE)).fetchall():
            last = rows[-1][0]
            with writer.transaction():
                for row in rows:
                    _session(into, other, SessionRow(*row), done)
            yield done, total
    finally:
        other.close()


def _opened(path: Path) -> sqlite3.Connection:
    other = open_file(path)
    try:
        version = other.execute("PRAGMA user_version").fetchone()[0]
        tables = {row[0] for row in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"session", "event", "model", "project", "rollup"} <= tables:
            raise StoreError(f"{path} is no database of tokentop")
        if version != VERSION:
            older = "it is older: start the tokentop that it belongs to once more, then import" * (
                version < VERSION
            )
            raise StoreError(
                f"{path} has version {version}, this tokentop knows {VERSION}; {older or 'update tokentop'}"
            )
    except BaseException:
        other.close()
        raise
    return other


def _session(into: Adoption, other: sqlite3.Connection, row: SessionRow, done: Adopted) -> None:
    """One session with its calls."""
    done.sessions += 1
    session = into.session(row.session())
    if row.context_used is not None:
        into.context(Context(row.agent, row.sid, row.context_at_ms, row.context_used, row.context_window))
    calls = other.execute(
        f"SELECT {', '.join('e.' + c for c in _EVENT.split(', '))}, m.provider, m.name, coalesce(t.tier, ''),"
        " coalesce(t.geo, ''), x.logged_nusd, coalesce(x.web_searches, 0), x.credits_milli FROM event e"
        " JOIN model m ON m.id = e.model LEFT JOIN tier t ON t.id = e.tier LEFT JOIN event_extra x ON x.id = e.id"
        f" WHERE e.session = ? AND {_GOOD}",
        (row.id,),
    ).fetchall()
    whole = other.execute("SELECT count(*) FROM event WHERE session = ?", (row.id,)).fetchone()[0]
    done.unusable += whole - len(calls)
    known = into.known_calls([call[0] for call in calls])
    new: list[EventRow] = []
    extras = {}
    for call in calls:
        if call[0] in known:
            continue
        identity, at_ms, took_ms, flags, *counts, cost, provider, model, tier, geo = call[:15]
        extra = call[15:]
        new.append(
            (identity, session, at_ms, took_ms, into.names.model(provider, model), into.names.tier(tier, geo), flags,
             *counts, cost)
        )  # fmt: skip
        if extra != (None, 0, None):
            extras[identity] = extra
    into.calls(new, extras)
    done.calls += len(new)
    done.known += len(known)
    if new:
        totals = other.execute("SELECT * FROM running_total WHERE session = ?", (row.id,)).fetchall()
        into.totals(session, totals)


# ------------------------------------------------------------ lists of sessions


class _Listed(Struct):
    """A row of `tokentop sessions --json`."""

    agent: str
    session: str
    tokens: dict[str, int]
    responses: int
    cost_usd: str | None
    parent: str | None = None
    root: str | None = None
    role: str | None = None
    title: str | None = None
    project: str | None = None
    cwd: str | None = None
    branch: str | None = None
    version: str | None = None
    started_at: str | None = None
    last_at: str | None = None
    unpriced_tokens: int = 0
    unknown_calls: int = 0
    estimated: bool = False


class _List(Struct):
    schema: str
    rows: list[_Listed]
    more: bool = False


def adopt_list(writer: Writer, content: bytes, at_ms: int) -> Adopted:
    """Import `tokentop sessions --json`: sessions that are not known here, by their sums.

    When calls of such a session are read here later, they replace its sums. StoreError, sqlite3.Error.
    """
    try:
        document = msgspec.json.decode(content, type=_List)
        found = [(_session_of(row), _sums_of(row), row.estimated) for row in document.rows]
    except (msgspec.MsgspecError, ValueError, ArithmeticError, KeyError) as error:
        raise StoreError(
            f"not what `tokentop sessions --json` writes: {' '.join(str(error).split())[:120]}"
        ) from None
    if document.schema != "tokentop.sessions/1":
        raise StoreError(
            f"{clean(document.schema, 40)} holds sums, of which nobody can tell what is here already; import a list of"
            " sessions, or what `tokentop db backup FILE` writes"
        )
    done, into = Adopted(cut=document.more), Adoption(writer)
    with writer.transaction():
        for session, sums, estimated in found:
            done.sessions += 1
            if not session.last_ms or max(sums) > MAX_COUNT * 1000 or min(sums) < 0:
                done.unusable += sums[0]
            elif into.sums(session, sums, _flags(sums, estimated), at_ms):
                done.calls += sums[0]
            else:
                done.known += sums[0]
    return done


def _flags(sums: list[int], estimated: bool) -> int:
    unpriced = FLAG_UNPRICED if sums[8] else 0
    return FLAG_AT_ESTIMATED | unpriced | (FLAG_ESTIMATED if estimated else 0)


def _session_of(row: _Listed) -> Session:
    return Session(
        clean(row.agent, 40), clean(row.session, 200), parent_id=clean(row.parent or "", 200),
        root_id=clean(row.root or "", 200), role=Role(row.role) if row.role else None, cwd=clean(row.cwd or "", 4096),
        branch=clean(row.branch or "", 200), title=title(row.title or ""), title_rank=1,
        first_ms=_ms(row.started_at), last_ms=_ms(row.last_at), version=clean(row.version or "", 60),
    )  # fmt: skip


def _sums_of(row: _Listed) -> list[int]:
    cost = Decimal(row.cost_usd or "0") * 10**9
    kinds = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
    counts = [row.tokens[kind] for kind in kinds]
    return [row.responses, *counts, int(cost), row.unpriced_tokens, row.unknown_calls, 0]


def _ms(text: str | None) -> int:
    if not text:
        return 0
    ms = int(datetime.fromisoformat(text).timestamp() * 1000)
    return ms if 0 < ms < MAX_MS else 0
