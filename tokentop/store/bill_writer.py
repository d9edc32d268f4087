"""What providers said, stored: one look at a report is one transaction.

A pull replaces the days that it knows completely, rows that have vanished included; a changed amount of a day that was
over before goes to the list of revisions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import date, timedelta

import msgspec
from msgspec.structs import replace

from tokentop.nouns.billing import DAY_MS, Balance, Bill, Fetched, is_final

from .bills import COUNTS, KEY, balances_where
from .limits import put_quota

_EPOCH = date(1970, 1, 1)
_BILL = (
    "source", "account", "day", *KEY, "provider", *COUNTS, "requests", "quantity", "amount_nusd", "list_nusd",
    "amount_text",
)  # fmt: skip
_PUT_BILL = f"INSERT OR REPLACE INTO bill ({', '.join(_BILL)}) VALUES ({', '.join('?' * len(_BILL))})"


def keep(db: sqlite3.Connection, fetched: Fetched) -> None:
    """Store one look at a report in one transaction. Raises sqlite3.Error; then nothing of it is stored."""
    db.execute("BEGIN IMMEDIATE")
    try:
        _keep(db, fetched)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _keep(db: sqlite3.Connection, fetched: Fetched) -> None:
    state = fetched.state
    place = (f"{state.provider}.{state.source}", state.account)
    if fetched.days:
        _replace_days(db, place, fetched)
    if fetched.balances is not None:
        _replace_balances(db, place, fetched.balances)
    if fetched.names is not None:
        db.execute("DELETE FROM provider_name WHERE source=? AND account=?", place)
        db.executemany(
            "INSERT OR REPLACE INTO provider_name (source, account, provider, kind, id, name) VALUES (?, ?, ?, ?, ?, ?)",
            [(*place, one.provider, one.kind, one.id, one.name) for one in fetched.names],
        )
    for quota in fetched.quotas:
        put_quota(db, quota)
    db.execute(
        "INSERT OR REPLACE INTO provider_state (provider, source, account, state, at_ms, ok_ms, blocked_until_ms,"
        " document) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (state.provider, state.source, state.account, state.state.value, state.at_ms, state.ok_ms,
         state.blocked_until_ms, msgspec.json.encode(state).decode()),
    )  # fmt: skip


def _replace_days(db: sqlite3.Connection, place: tuple[str, str], fetched: Fetched) -> None:
    at_ms = fetched.state.at_ms
    new: dict[str, list[Bill]] = {day: [] for day in fetched.days}
    for bill in fetched.bills:
        new[bill.day_utc].append(bill)
    for day, bills in sorted(new.items()):
        _note_revisions(db, place, day, bills, at_ms)
        db.execute("DELETE FROM bill WHERE source=? AND account=? AND day=?", (*place, day))
        db.executemany(_PUT_BILL, [_row(place[1], bill) for bill in bills])
        db.execute(
            "INSERT OR REPLACE INTO bill_day (source, account, day, provider, fetched_ms, as_of_ms, final)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*place, day, fetched.state.provider, at_ms, fetched.state.as_of_ms,
             is_final(_day_end_ms(day), at_ms + fetched.state.skew_ms)),
        )  # fmt: skip


def _note_revisions(
    db: sqlite3.Connection, place: tuple[str, str], day: str, bills: Iterable[Bill], at_ms: int
) -> None:
    """What has changed of a day that was over when it was last told."""
    known = db.execute(
        "SELECT fetched_ms FROM bill_day WHERE source=? AND account=? AND day=?", (*place, day)
    ).fetchone()
    if known is None or known[0] < _day_end_ms(day):
        return
    stored = db.execute(
        f"SELECT {', '.join(KEY)}, amount_nusd FROM bill WHERE source=? AND account=? AND day=?",
        (*place, day),
    )
    old = {tuple(line): amount for *line, amount in stored}
    new = {tuple(_line(bill)): bill.amount_nusd for bill in bills}
    changed = [line for line in {**old, **new} if old.get(line) != new.get(line)]
    db.executemany(
        "INSERT INTO bill_revision (at_ms, source, account, day, line, old_nusd, new_nusd) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (at_ms, *place, day, msgspec.json.encode(line).decode(), old.get(line), new.get(line))
            for line in changed
        ],
    )


def _line(bill: Bill) -> list[str]:
    return [getattr(bill, name) for name in KEY]


def _row(account: str, bill: Bill) -> tuple[object, ...]:
    counts = [None if bill.tokens is None else getattr(bill.tokens, name) for name in COUNTS]
    return (
        bill.source, account, bill.day_utc, *_line(bill), bill.provider, *counts, bill.requests, bill.quantity,
        bill.amount_nusd, bill.list_nusd, bill.amount_text,
    )  # fmt: skip


def _replace_balances(db: sqlite3.Connection, place: tuple[str, str], balances: Iterable[Balance]) -> None:
    old = {(one.name, one.period): one for one in balances_where(db, "WHERE source=? AND account=?", place)}
    db.execute("DELETE FROM balance WHERE source=?", place[:1])  # another key's, too: it is not used any more
    db.executemany(
        "INSERT OR REPLACE INTO balance (source, account, name, period, currency, provider, remaining_nano, used_nano,"
        " limit_nano, resets_at_ms, at_ms, stale) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (*place, one.name, one.period, one.currency, one.provider, one.remaining_nano, one.used_nano,
             one.limit_nano, one.resets_at_ms, one.at_ms, one.stale)
            for one in (_believable(new, old.get((new.name, new.period))) for new in balances)
        ],
    )  # fmt: skip


def _believable(new: Balance, old: Balance | None) -> Balance:
    """Spend of a member reads 0 also when it cannot be told: a higher value of the same period stays, marked."""
    if not new.source.endswith(".members") or new.used_nano != 0 or old is None or not old.used_nano:
        return new
    if _period_of(new) != _period_of(old):
        return new
    return replace(old, stale=True)


def _period_of(balance: Balance) -> int | str:
    days = balance.at_ms // DAY_MS
    if balance.period == "day":
        return days
    return (days + 3) // 7 if balance.period == "week" else _iso_day(days)[:7]


def _iso_day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).isoformat()


def _day_end_ms(day: str) -> int:
    return ((date.fromisoformat(day) - _EPOCH).days + 1) * DAY_MS
