"""`tokentop usage`: totals by any of day, hour, agent, model, project, session, provider."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Any

from msgspec import Struct

from tokentop.engine.days import local
from tokentop.model import Tokens
from tokentop.store import reader
from tokentop.store.reader import Filter, Slot
from tokentop.text import clean

from .out import iso, money, plain_table, usd

DIMENSIONS = ("day", "hour", "agent", "model", "project", "session", "provider")
BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


class Line(Struct):
    """Sums of one group. `priced` tells whether any of it has a price."""

    key: tuple[str, ...]
    estimated: bool
    responses: int = 0
    tokens: Tokens = Tokens()
    cost_nusd: int = 0
    cost_estimated: bool = False
    unpriced_tokens: int = 0
    priced: bool = False

    def add(self, slot: Slot) -> None:
        self.responses += slot.responses
        self.tokens += slot.tokens
        self.cost_nusd += slot.cost_nusd
        self.cost_estimated = self.cost_estimated or slot.cost_estimated
        self.unpriced_tokens += slot.unpriced_tokens
        self.priced = self.priced or slot.unpriced_tokens < slot.tokens.total or not slot.tokens.total


def collect(db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo) -> list[Line]:
    """The groups, sorted by their key; an estimate stays apart from the exact row of its group."""
    slots: Iterable[Slot]
    if "session" in by:
        slots = reader.events_as_slots(db, wanted, _span(wanted), by_slot="day" in by or "hour" in by)
    else:
        slots = reader.usage(db, wanted, by_slot="day" in by or "hour" in by)
    lines: dict[tuple[tuple[str, ...], bool], Line] = {}
    for slot in slots:
        key = tuple(_value(slot, dimension, zone) for dimension in by)
        line = lines.get((key, slot.estimated))
        if line is None:
            line = lines[key, slot.estimated] = Line(key, slot.estimated)
        line.add(slot)
    return [lines[key] for key in sorted(lines)]


def _span(wanted: Filter) -> tuple[int, int]:
    since = wanted.since_ms if wanted.since_ms is not None else -(1 << 62)
    return since, wanted.until_ms if wanted.until_ms is not None else 1 << 62


def _value(slot: Slot, dimension: str, zone: tzinfo) -> str:
    if dimension in ("day", "hour") and slot.slot_ms == 0:
        return "unknown"  # the log gives no usable time
    if dimension == "day":
        return local(slot.slot_ms, zone).date().isoformat()
    if dimension == "hour":
        return local(slot.slot_ms, zone).strftime("%Y-%m-%dT%H:00%z")
    if dimension == "model":
        return slot.model or "unknown"
    return str(getattr(slot, dimension)) or "unknown"


def total_of(lines: Iterable[Line]) -> Line:
    total = Line((), False)
    for line in lines:
        total.responses += line.responses
        total.tokens += line.tokens
        total.cost_nusd += line.cost_nusd
        total.unpriced_tokens += line.unpriced_tokens
        total.cost_estimated = total.cost_estimated or line.cost_estimated
        total.priced = total.priced or line.priced
    return total


def document(
    lines: Sequence[Line], by: Sequence[str], wanted: Filter, now_ms: int, health: dict[str, Any]
) -> dict[str, Any]:
    """`tokentop.usage/1`."""
    total = total_of(lines)
    return {
        "schema": "tokentop.usage/1",
        "generated_at": iso(now_ms),
        "since": iso(wanted.since_ms) if wanted.since_ms is not None else None,
        "until": iso(wanted.until_ms) if wanted.until_ms is not None else None,
        "by": list(by),
        "rows": [_row(line, by) for line in lines],
        "totals": _sums(total),
        "health": health,
    }


def _row(line: Line, by: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(by, line.key, strict=True))
    sums = _sums(line)
    row |= {"responses": sums["responses"], "tokens": sums["tokens"], "cost_usd": sums["cost_usd"]}
    row |= {"logged_cost_usd": None, "unpriced_tokens": line.unpriced_tokens}
    if line.estimated:
        row["estimated"] = True
    if line.cost_estimated:
        row["cost_estimated"] = True
    return row


def _sums(line: Line) -> dict[str, Any]:
    return {
        "responses": line.responses,
        "tokens": {name: getattr(line.tokens, name) for name in BUCKETS},
        "cost_usd": usd(line.cost_nusd) if line.priced or not line.unpriced_tokens else None,
        "unpriced_tokens": line.unpriced_tokens,
    }


def as_csv(lines: Sequence[Line], by: Sequence[str]) -> str:
    """One line a group; text that a spreadsheet would run is disarmed."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*by, "responses", *BUCKETS, "cost_usd", "unpriced_tokens", "estimated"])
    for line in lines:
        sums = _sums(line)
        writer.writerow(
            [*(disarm(part) for part in line.key), line.responses, *(sums["tokens"][b] for b in BUCKETS),
             sums["cost_usd"] or "", line.unpriced_tokens, int(line.estimated)]
        )  # fmt: skip
    return out.getvalue()


def disarm(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_text(lines: Sequence[Line], by: Sequence[str]) -> str:
    """A table for people, totals last."""
    heads = [
        *(name.upper() for name in by),
        "RESPONSES",
        "INPUT",
        "CACHE READ",
        "WRITE 5M",
        "WRITE 1H",
        "OUTPUT",
        "COST",
    ]
    rows = [[*(clean(part, 40) for part in line.key), *_figures(line)] for line in lines]
    if len(lines) != 1:
        rows.append([*(["total", *[""] * (len(by) - 1)] if by else []), *_figures(total_of(lines))])
    return plain_table(heads, rows, left=len(by))


def _figures(line: Line) -> list[str]:
    tokens = line.tokens
    cost = money(line.cost_nusd) if line.priced or not line.unpriced_tokens else "unpriced"
    if line.priced and line.unpriced_tokens:
        cost += " +unpriced"
    mark = "~" if line.estimated else ""
    counts = (
        line.responses,
        tokens.input,
        tokens.cache_read,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.output,
    )
    return [*(f"{mark}{count:,}" for count in counts), ("~" if line.cost_estimated else "") + cost]
