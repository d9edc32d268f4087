"""`tokentop providers`: who is asked, with which key, how it went, and what is known; `fetch`, `enable`, `key`."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tokentop.clock import now_ms
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.nouns.billing import (
    REFUSED_STATES,
    Balance,
    Fetched,
    Health,
    KeySeen,
    ProviderState,
    ReportStanding,
    Standing,
)
from tokentop.polling.keys import is_on
from tokentop.polling.standing import standing
from tokentop.providers import all_providers
from tokentop.providers.base import Provider
from tokentop.settings.config import Settings
from tokentop.settings.load import load
from tokentop.store import bills, db
from tokentop.text import duration

from .access import folder_for
from .out import iso, plain_table, print_json, usd

_VERBS = ("show", "fetch", "enable", "key")


def providers(do: str, ids: Sequence[str], as_json: bool) -> int:
    """Run one of the verbs. Raises UsageError, Failure, NothingMatched, SettingsError."""
    if do not in _VERBS:
        do, ids = "show", [do, *ids]
    known = {one.id: one for one in all_providers()}
    for name in ids:
        if name not in known:
            raise UsageError(f"no such provider: {name}; choose from {', '.join(known)}")
    wanted = [known[name] for name in dict.fromkeys(ids)] or list(known.values())
    if do in ("enable", "key"):
        if len(wanted) != 1 or not ids:
            raise UsageError(f"name one provider: tokentop providers {do} ID")
        from . import providers_setup

        return providers_setup.enable(wanted[0]) if do == "enable" else providers_setup.store_key(wanted[0])
    settings = load(os.environ)
    failed = False
    with folder_for() as (folder, _notes):
        if do == "fetch":
            failed = _fetch(folder, settings, wanted, quiet=as_json)
        found = _examine(folder, settings, wanted)
    if as_json:
        print_json({"schema": "tokentop.providers/1", "generated_at": iso(now_ms()), "rows": found})
    else:
        print(_text(found, all_of_them=not ids))
    return 1 if failed else 0


# ---------------------------------------------------------------- fetch


def _fetch(folder: Path, settings: Settings, wanted: Sequence[Provider], *, quiet: bool) -> bool:
    """Ask every report of the wanted providers that are on, now; whether one of them failed.

    Also while a screen runs: the database puts the two writers in order.
    """
    from tokentop.polling.loop import Poller
    from tokentop.store import bill_writer

    on = [one.id for one in wanted if one.id in settings.providers and is_on(one, settings.providers[one.id])]
    if not on:
        raise NothingMatched("none of them is on; see: tokentop providers enable ID")
    try:
        connection = db.open_writer(folder)
    except (db.StoreError, sqlite3.Error) as error:
        raise Failure(str(error)) from error
    failed: list[str] = []

    unstored: list[sqlite3.Error] = []

    def put(fetched: Fetched) -> None:
        try:
            bill_writer.keep(connection, fetched)
        except sqlite3.Error as error:
            unstored.append(error)
        state = fetched.state
        bad = state.state not in (Health.OK, Health.OFF)
        if bad:
            failed.append(state.provider)
        if not quiet and (bad or sys.stderr.isatty()):
            what = f": {state.reason}" if state.reason else ""
            print(f"{state.provider} {state.source}: {state.state}{what}", file=sys.stderr, flush=True)

    poller = Poller(settings.providers, os.environ, put)
    try:
        poller.remember(bills.states(connection))
        before = {key: one.at_ms for key, one in poller.states.items()}
        for provider_id in asyncio.run(poller.once(on)):
            failed.append(provider_id)
            print(f"tokentop: {provider_id}: stopped by an error of its own", file=sys.stderr)
        if not quiet and all(one.at_ms == before.get(key) for key, one in poller.states.items()):
            print(
                "nothing was asked: all of it was asked within the last minute, or has to wait",
                file=sys.stderr,
            )
    finally:
        connection.close()
    if unstored:
        raise Failure(f"what came in could not be stored: {unstored[0]}")
    return bool(failed)


# ---------------------------------------------------------------- show


def _examine(folder: Path, settings: Settings, wanted: Sequence[Provider]) -> list[dict[str, Any]]:
    states: list[ProviderState] = []
    balances: list[Balance] = []
    if (folder / db.FILE_NAME).exists():
        try:
            connection = db.open_reader(folder)
        except (db.StoreError, sqlite3.Error) as error:
            raise Failure(str(error)) from error
        try:
            if connection.execute("PRAGMA user_version").fetchone()[0] >= 3:
                states, balances = bills.states(connection), bills.balances(connection)
        finally:
            connection.close()
    at_ms = now_ms()
    own = settings.providers
    return [
        _document(standing(one, own.get(one.id), os.environ, states, balances, at_ms), at_ms)
        for one in wanted
    ]


def _document(one: Standing, at_ms: int) -> dict[str, Any]:
    """One provider; the key is told by its origin and its last four characters or its fingerprint."""
    key, known = one.key, [report.state for report in one.reports if report.state.state is not Health.WAITING]
    return {
        "provider": one.provider,
        "label": one.label,
        "state": one.state,
        "on": one.on,
        "private": one.private,
        "key": None if key is None else {
            "origin": key.origin, "ends_with": key.ends_with or None, "fingerprint": key.fingerprint or None,
        },
        "problem": one.problem or None,
        "needs": one.needs,
        "base_url": one.base_url or None,
        "may": [state.source for state in known if state.ok_ms and state.state not in REFUSED_STATES],
        "may_not": [state.source for state in known if state.state in REFUSED_STATES],
        "reports": [_report(report, at_ms) for report in one.reports],
        "balances": [_balance(balance, at_ms) for balance in one.balances],
    }  # fmt: skip


def _report(one: ReportStanding, at_ms: int) -> dict[str, Any]:
    state, soon = one.state, one.next_ms
    return {
        "report": state.source,
        "gives": one.gives,
        "state": str(state.state),
        "reason": state.reason or None,
        "todo": one.todo or None,
        "asked_at": iso(state.at_ms) if state.at_ms else None,
        "last_good_at": iso(state.ok_ms) if state.ok_ms else None,
        "age_s": max(0, at_ms - state.ok_ms) // 1000 if state.ok_ms else None,
        "as_of": iso(state.as_of_ms) if state.as_of_ms else None,
        "next_at": iso(soon) if soon else None,
        "next_s": max(0, soon - at_ms) // 1000 if soon else None,
        "blocked_until": iso(state.blocked_until_ms) if state.blocked_until_ms > at_ms else None,
        "failures": state.failures,
        "rows_dropped": state.dropped,
        "clock_skew_s": round(state.skew_ms / 1000) or None,
    }


def _balance(one: Balance, at_ms: int) -> dict[str, Any]:
    def amount(nano: int | None) -> str | None:
        return None if nano is None else usd(nano)

    return {
        "name": one.name, "currency": one.currency, "remaining": amount(one.remaining_nano),
        "used": amount(one.used_nano), "limit": amount(one.limit_nano), "period": one.period or None,
        "resets_at": iso(one.resets_at_ms) if one.resets_at_ms else None, "age_s": max(0, at_ms - one.at_ms) // 1000,
        "stale": one.stale,
    }  # fmt: skip


# ---------------------------------------------------------------- text


def _text(found: Sequence[dict[str, Any]], *, all_of_them: bool) -> str:
    shown = [row for row in found if row["reports"] or row["on"] or not all_of_them]
    blocks = ["\n".join(_block(row)) for row in shown]
    rest = [row for row in found if row not in shown]
    if rest:
        heads = ["OFF", "KEY", "NEEDS"]
        table = [[row["provider"], _key_text(row["key"]) or "-", row["needs"]] for row in rest]
        blocks.append(plain_table(heads, table, left=3))
        blocks.append("switch one on: tokentop providers enable ID (docs/providers.md)")
    return "\n\n".join(blocks)


def _block(row: dict[str, Any]) -> list[str]:
    head = f"{row['provider']}  {row['state']}"
    key = _key_text(row["key"])
    lines = [head + (f"  key {key}" if key else "")]
    if row["problem"]:
        lines.append(f"  {row['problem']}")
    heads = ["  REPORT", "STATE", "LAST GOOD", "NEXT", "GIVES"]
    table = [
        [f"  {one['report']}", one["state"], _age(one["age_s"]) + _as_of(one["as_of"]), _soon(one["next_s"]),
         one["reason"] if one["state"] != Health.OK and one["reason"] else one["gives"]]
        for one in row["reports"]
    ]  # fmt: skip
    if table:
        lines.append(plain_table(heads, table, left=5))
    lines += [f"  -> {todo}" for todo in dict.fromkeys(one["todo"] for one in row["reports"]) if todo]
    lines += [_balance_text(one) for one in row["balances"]]
    return lines


def _key_text(key: dict[str, Any] | None) -> str:
    if key is None:
        return ""
    return str(KeySeen(key["origin"], key["ends_with"] or "", key["fingerprint"] or ""))


def _age(seconds: int | None) -> str:
    return "never" if seconds is None else f"{duration(seconds)} ago"


def _as_of(time: str | None) -> str:
    """How far its data goes, where the provider says so."""
    return f" (as of {time[5:16].replace('T', ' ')} UTC)" if time else ""


def _soon(seconds: int | None) -> str:
    return "-" if seconds is None else f"in {duration(seconds)}" if seconds > 0 else "now"


def _balance_text(one: dict[str, Any]) -> str:
    told = (("remaining", "left"), ("used", "used"), ("limit", "limit"))
    parts = [f"{Decimal(one[name]):,.2f} {word}" for name, word in told if one[name] is not None]
    period = f" a {one['period']}" if one["period"] else ""
    stale = ", not the newest" if one["stale"] else ""
    return f"  {one['name']}: {', '.join(parts) or 'no limit'} {one['currency']}{period} ({_age(one['age_s'])}{stale})"
