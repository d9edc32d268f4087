"""`tokentop status`: one line for a tmux status bar or a shell prompt.

It reads what a running tokentop has left, and the store; it never reads a log and never takes the lock.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from pathlib import Path
from typing import Any

from msgspec import Struct

from tokentop.clock import now_ms
from tokentop.engine.days import day_bounds
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.places import state_dir
from tokentop.settings.zone import local_zone
from tokentop.store import left
from tokentop.text import UNKNOWN, digits3, duration, plural
from tokentop.text import money as short_money

CLOSING_MS = 5_000  # a tokentop that ends writes what it has read
FRESH_MS = 30_000  # a running tokentop leaves its figures at least every 10 s
_FIELDS = ("agents", "working", "waiting", "rate", "burn", "today", "projected", "age", "state")


class Status(Struct, frozen=True):
    """What is known now. `live` None = no tokentop runs: nothing is known of agents and rates."""

    at_ms: int
    live: left.Left | None
    today_nusd: int
    today_complete: bool
    as_of_ms: int  # when the figures were true


def status(arguments: argparse.Namespace) -> int:
    """Print the line or the document. Raises NothingMatched where nothing is known yet."""
    template = arguments.format
    if template is not None:
        _check(template)
    found = look(state_dir(os.environ), now_ms())
    if arguments.json:
        from .out import print_json

        print_json(document(found))
    else:
        print(fill(template, found) if template is not None else line(found))
    return 0


def look(folder: Path, at_ms: int) -> Status:
    """Gather what is known, without writing anything."""
    newest = left.read(folder)
    start_ms, end_ms, _ = day_bounds(at_ms, local_zone(os.environ))
    fresh = newest is not None and at_ms - newest.at_ms + 1_000 >= 0 and at_ms - newest.at_ms <= FRESH_MS
    running = newest is not None and fresh and _is_alive(newest.pid)
    if newest is not None and newest.day_ms == start_ms:
        if running:
            return Status(at_ms, newest, newest.today_nusd, newest.today_complete, newest.at_ms)
        if _written_ms(folder) <= newest.at_ms + CLOSING_MS:  # the store has nothing newer
            return Status(at_ms, None, newest.today_nusd, newest.today_complete, newest.at_ms)
    if running and newest is not None:
        return Status(at_ms, newest, *_stored(folder, start_ms, end_ms)[:2], newest.at_ms)
    return Status(at_ms, None, *_stored(folder, start_ms, end_ms))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


def _stored(folder: Path, start_ms: int, end_ms: int) -> tuple[int, bool, int]:
    """(today's sum, whether it is complete, when the store was last written)."""
    import sqlite3  # a line beside a running tokentop needs none of these

    from tokentop.store import db, reader

    if not _written_ms(folder):
        raise NothingMatched("nothing is known yet; start tokentop, or run: tokentop sync")
    try:
        connection = db.open_reader(folder)
        try:
            today = reader.spent(connection, start_ms, end_ms)
        finally:
            connection.close()
    except (db.StoreError, sqlite3.Error) as error:
        raise Failure(
            f"the database cannot be read: {error}; run: tokentop sync, which mends it or says why not"
        ) from error
    return today.cost_nusd, not (today.unpriced_tokens or today.unknown_calls), _written_ms(folder)


def _written_ms(folder: Path) -> int:
    """When the store was last written, 0 = there is none."""
    found = 0
    for name in ("tokentop.db", "tokentop.db-wal"):
        with contextlib.suppress(OSError):
            found = max(found, int((folder / name).stat().st_mtime * 1000))
    return found


# ---------------------------------------------------------------- text


def values(found: Status) -> dict[str, str]:
    """Every field of a template as text; `?` where no running tokentop says it."""
    live = found.live
    known = {"agents": UNKNOWN, "working": UNKNOWN, "waiting": UNKNOWN, "rate": UNKNOWN, "burn": UNKNOWN}
    if live is not None:
        known = {
            "agents": str(live.agents),
            "working": str(live.working),
            "waiting": str(live.waiting),
            "rate": digits3(round(live.tokens_per_min)),
            "burn": ("" if live.burn_complete else "≥") + short_money(live.burn_nusd_per_h),
        }
    projected = live.projected_nusd if live is not None else None
    return known | {
        "today": ("" if found.today_complete else "≥") + short_money(found.today_nusd),
        "projected": short_money(projected) if projected is not None else UNKNOWN,
        "age": duration(max(0, found.at_ms - found.as_of_ms) / 1000),
        "state": "running" if live is not None else "not running",
    }


def line(found: Status) -> str:
    """The line without a template."""
    part = values(found)
    if found.live is None:
        return f"tokentop is not running; today {part['today']}, {part['age']} old"
    waiting = f" {part['waiting']} waiting" if found.live.waiting else ""
    projected = f" → {part['projected']}" if found.live.projected_nusd is not None else ""
    return (
        f"{plural(found.live.agents, 'agent')}{waiting}  {part['rate']} tok/min  {part['burn']}/h"
        f"  today {part['today']}{projected}  {part['age']} old"
    )


_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def _check(template: str) -> None:
    for match in _PLACE.finditer(template):
        name = match[1]
        if match[0] in ("{{", "}}") or name in _FIELDS:
            continue
        if name is None:
            raise UsageError(f"--format: a single {match[0]}; write {match[0] * 2} for the character")
        raise UsageError(f"--format: no field {{{name}}}; choose from {', '.join(_FIELDS)}")


def fill(template: str, found: Status) -> str:
    """The template with its fields; `{{` and `}}` are braces."""
    part = values(found)
    return _PLACE.sub(lambda match: part[match[1]] if match[1] is not None else match[0][0], template)


def document(found: Status) -> dict[str, Any]:
    """`tokentop.status/1`; null = nobody says it now."""
    from .out import iso, usd

    live = found.live
    projected = live.projected_nusd if live is not None else None
    return {
        "schema": "tokentop.status/1",
        "generated_at": iso(found.at_ms),
        "running": live is not None,
        "as_of": iso(found.as_of_ms),
        "age_s": max(0, found.at_ms - found.as_of_ms) // 1000,
        "agents": live.agents if live else None,
        "working": live.working if live else None,
        "waiting": live.waiting if live else None,
        "tokens_per_min": live.tokens_per_min if live else None,
        "burn_usd_per_h": usd(live.burn_nusd_per_h) if live else None,
        "burn_complete": live.burn_complete if live else None,
        "today_usd": usd(found.today_nusd),
        "today_complete": found.today_complete,
        "projected_usd": usd(projected) if projected is not None else None,
    }
