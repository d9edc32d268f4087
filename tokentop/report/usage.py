"""`tokentop usage`: totals by any of day, hour, agent, model, project, session, provider."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta, tzinfo
from itertools import chain
from operator import attrgetter
from typing import Any

from msgspec import Struct

from tokentop.engine.days import DAY_MS, HOUR_MS, local
from tokentop.nouns.usage import Tokens
from tokentop.store import by_day, reader
from tokentop.store.reader import Filter, Slot
from tokentop.store.slots import BUCKETS, span_of
from tokentop.text import clean, digits3, plural

from .out import fits, fitted_table, iso, money, room, usd, wrapped

DIMENSIONS = ("day", "hour", "agent", "model", "project", "session", "provider")
_NEVER_MS = 1 << 62
_LONG_MS = 400 * DAY_MS
_SHORT = {"RESPONSES": "RESP", "CACHE READ": "READ"}  # heads of a narrow table


class Line(Struct, gc=False):
    """Sums of one group. `priced` tells whether any of it has a price."""

    key: tuple[str, ...]
    estimated: bool
    responses: int = 0
    tokens: Tokens = Tokens()
    cost_nusd: int = 0
    cost_estimated: bool = False
    unpriced_tokens: int = 0
    priced: bool = False
    unknown_calls: int = 0
    logged_nusd: int = 0
    credits_milli: int = 0
    at_estimated: bool = False
    telemetry_responses: int = 0  # that no log tells

    @classmethod
    def of(cls, key: tuple[str, ...], slot: Slot) -> Line:
        """The group of which this is the first."""
        return cls(
            key, slot.estimated, slot.responses, slot.tokens, slot.cost_nusd, slot.cost_estimated, slot.unpriced_tokens,
            slot.cost_nusd > 0 or slot.unpriced_tokens < slot.tokens.total, slot.unknown_calls, slot.logged_nusd, 0,
            slot.at_estimated, slot.responses if slot.telemetry else 0,
        )  # fmt: skip

    def add(self, slot: Slot) -> None:
        self.responses += slot.responses
        self.tokens += slot.tokens
        self.cost_nusd += slot.cost_nusd
        self.cost_estimated = self.cost_estimated or slot.cost_estimated
        self.unpriced_tokens += slot.unpriced_tokens
        self.priced = self.priced or slot.unpriced_tokens < slot.tokens.total or slot.cost_nusd > 0
        self.unknown_calls += slot.unknown_calls
        self.logged_nusd += slot.logged_nusd
        self.at_estimated = self.at_estimated or slot.at_estimated
        self.telemetry_responses += slot.responses if slot.telemetry else 0


def collect(db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo) -> list[Line]:
    """The groups, sorted by their key; an estimate stays apart from the exact row of its group."""
    slots: Iterable[Slot]
    if "session" in by and not {"day", "hour"} & {*by}:
        slots = reader.sessions_as_slots(db, wanted, span_of(wanted), by)
    elif "session" in by:
        slots = reader.events_as_slots(db, wanted, span_of(wanted), by_slot=True)
    elif "hour" in by:
        slots = reader.usage(db, wanted, by_slot=True, by=by, width=_slots_of_hours(db, wanted, zone))
    else:
        slots = by_day.sums(db, wanted, by, zone)
    if "session" in by:
        slots = chain(slots, reader.purged_as_slots(db, wanted))
    exact: dict[tuple[str, ...], Line] = {}
    estimates: dict[tuple[str, ...], Line] = {}
    key_of = _keys(by, zone)
    for slot in slots:
        lines, key = estimates if slot.estimated else exact, key_of(slot)
        line = lines.get(key)
        if line is None:
            lines[key] = Line.of(key, slot)
        else:
            line.add(slot)
    for slot, credits_milli in reader.logged_credits(db, wanted, span_of(wanted)):
        lines, key = estimates if slot.estimated else exact, key_of(slot)
        lines.setdefault(key, Line(key, slot.estimated)).credits_milli += credits_milli
    return sorted([*exact.values(), *estimates.values()], key=attrgetter("key"))


def _slots_of_hours(db: sqlite3.Connection, wanted: Filter, zone: tzinfo) -> int:
    """How many quarter hours always lie in the same local hour: 4 where hours begin with those of UTC."""
    until_ms = min(wanted.until_ms or _NEVER_MS, reader.newest_ms(db))
    if wanted.since_ms is None or not 0 < until_ms - wanted.since_ms < _LONG_MS or wanted.since_ms < HOUR_MS:
        return 1
    weeks = range(wanted.since_ms, until_ms + 7 * DAY_MS, 7 * DAY_MS)
    return (
        1
        if any((local(at_ms, zone).utcoffset() or timedelta()) % timedelta(hours=1) for at_ms in weeks)
        else 4
    )


def _keys(by: Sequence[str], zone: tzinfo) -> Callable[[Slot], tuple[str, ...]]:
    """What a slot is called in these dimensions; there are many slots."""
    names = [_named_time(name, zone) if name in ("day", "hour") else attrgetter(name) for name in by]
    if len(names) == 1:
        (name,) = names
        return lambda slot: (name(slot) or "unknown",)
    if len(names) == 2:
        first, second = names
        return lambda slot: (first(slot) or "unknown", second(slot) or "unknown")
    return lambda slot: tuple([name(slot) or "unknown" for name in names])


def _named_time(dimension: str, zone: tzinfo) -> Callable[[Slot], str]:
    """The name of a time, worked out once for each."""
    known: dict[int, str] = {}

    def name(slot: Slot) -> str:
        found = known.get(slot.slot_ms)
        if found is None:
            found = known[slot.slot_ms] = value_of(slot, dimension, zone)
        return found

    return name


def value_of(slot: Slot, dimension: str, zone: tzinfo) -> str:
    """What a slot is called in one dimension."""
    if dimension in ("day", "hour") and slot.slot_ms == 0:
        return "unknown"  # the log gives no usable time
    if dimension == "day":
        return local(slot.slot_ms, zone).date().isoformat()
    if dimension == "hour":
        return local(slot.slot_ms, zone).strftime("%Y-%m-%dT%H:00%z")
    return str(getattr(slot, dimension)) or "unknown"


def total_of(lines: Iterable[Line]) -> Line:
    total = Line((), False)
    for line in lines:
        total.responses += line.responses
        total.tokens += line.tokens
        total.cost_nusd += line.cost_nusd
        total.unpriced_tokens += line.unpriced_tokens
        total.cost_estimated = total.cost_estimated or line.cost_estimated or line.estimated
        total.priced = total.priced or line.priced
        total.unknown_calls += line.unknown_calls
        total.logged_nusd += line.logged_nusd
        total.credits_milli += line.credits_milli
        total.telemetry_responses += line.telemetry_responses
    return total


def document(
    lines: Sequence[Line], by: Sequence[str], wanted: Filter, now_ms: int, health: dict[str, Any]
) -> dict[str, Any]:
    """`tokentop.usage/1`."""
    estimates = [line for line in lines if line.estimated]
    totals = _sums(total_of(line for line in lines if not line.estimated))
    if estimates:
        totals["estimated"] = _sums(total_of(estimates))  # on top of the exact ones
    return {
        "schema": "tokentop.usage/1",
        "generated_at": iso(now_ms),
        "since": iso(wanted.since_ms) if wanted.since_ms is not None else None,
        "until": iso(wanted.until_ms) if wanted.until_ms is not None else None,
        "by": list(by),
        "rows": [_row(line, by) for line in lines],
        "totals": totals,
        "health": health,
    }


def _row(line: Line, by: Sequence[str]) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(by, line.key, strict=True))
    sums = _sums(line)
    row |= {"responses": sums["responses"], "tokens": sums["tokens"], "cost_usd": sums["cost_usd"]}
    row |= {"logged_cost_usd": usd(line.logged_nusd) if line.logged_nusd else None}
    row |= {name: value for name, value in sums.items() if name not in row}
    if line.estimated:
        row["estimated"] = True
    if line.at_estimated:
        row["time_estimated"] = True
    if line.cost_estimated:
        row["cost_estimated"] = True
    return row


def _sums(line: Line) -> dict[str, Any]:
    sums: dict[str, Any] = {
        "responses": line.responses,
        "tokens": {name: getattr(line.tokens, name) for name in BUCKETS},
        "cost_usd": None if _no_price(line) else usd(line.cost_nusd),
        "unpriced_tokens": line.unpriced_tokens,
    }
    if line.unknown_calls:
        sums["unknown_calls"] = line.unknown_calls
    if line.telemetry_responses:
        sums["telemetry_responses"] = line.telemetry_responses
    if line.credits_milli:
        sums["credits"] = f"{line.credits_milli / 1000:.3f}"
    return sums


def _no_price(line: Line) -> bool:
    return not line.priced and bool(line.unpriced_tokens or line.unknown_calls)


def cut_document(db: sqlite3.Connection, *spans: Filter) -> dict[str, Any]:
    """`left_out` of a document: purged calls of quarter hours that the times cut, in no sum; nothing where none are."""
    calls, cost_nusd = reader.cut_through(db, *spans)
    return {"left_out": {"calls": calls, "cost_usd": usd(cost_nusd)}} if calls or cost_nusd else {}


def cut_note(db: sqlite3.Connection, *spans: Filter) -> str:
    """The same in a line for people, "" where there are none."""
    calls, cost_nusd = reader.cut_through(db, *spans)
    if not calls and not cost_nusd:
        return ""
    return (
        f"not in these sums: {plural(calls, 'purged call')}, {money(cost_nusd)}, of quarter hours within which the time"
        " begins or ends; give whole quarter hours to have them counted"
    )


def as_csv(lines: Sequence[Line], by: Sequence[str]) -> str:
    """One line a group; text that a spreadsheet would run is disarmed."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*by, "responses", *BUCKETS, "cost_usd", "unpriced_tokens", "estimated", "unknown_calls"])
    for line in lines:
        sums = _sums(line)
        writer.writerow(
            [*(disarm(part) for part in line.key), line.responses, *(sums["tokens"][b] for b in BUCKETS),
             sums["cost_usd"] or "", line.unpriced_tokens, int(line.estimated), line.unknown_calls]
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
    cells = room()
    rows = _rows(lines, by, lambda count: f"{count:,}")
    if not fits(heads, rows, cells):
        heads = [_SHORT.get(head, head) for head in heads]
        rows = _rows(lines, by, digits3)
    table = fitted_table(heads, rows, len(by), cells, least={"PROJECT": 12, "MODEL": 12, "SESSION": 8})
    notes = []
    if unknown := total_of(lines).unknown_calls:
        calls = "1 call is" if unknown == 1 else f"{unknown:,} calls are"
        notes.append(f"{calls} without usage in the logs: running, or cut off; their tokens are unknown")
    if heard := total_of(lines).telemetry_responses:
        calls = "1 response is" if heard == 1 else f"{heard:,} responses are"
        notes.append(f"{calls} known from the agents' telemetry alone: no log tells them")
    if unpriced := sum(line.unpriced_tokens for line in lines):
        notes.append(f"{unpriced:,} tokens have no price: their cost is unknown, and in no sum")
    return "\n".join([table, *(part for note in notes for part in wrapped(note, cells, 2))])


def _rows(lines: Sequence[Line], by: Sequence[str], shown: Callable[[int], str]) -> list[list[str]]:
    """A row each, sums last; `shown` writes a count."""
    rows = [[*(clean(part, 40) for part in line.key), *_figures(line, shown)] for line in lines]
    exact = [line for line in lines if not line.estimated]
    if len(lines) != 1:
        rows.append([*_named("total", by), *_figures(total_of(exact), shown)])
        if len(exact) < len(lines):
            estimates = total_of(line for line in lines if line.estimated)
            estimates.estimated = True
            rows.append([*_named("estimates", by), *_figures(estimates, shown)])
    return rows


def _named(name: str, by: Sequence[str]) -> list[str]:
    return [name, *[""] * (len(by) - 1)] if by else []


def _figures(line: Line, shown: Callable[[int], str]) -> list[str]:
    tokens = line.tokens
    mark = "≈" if line.estimated else ""
    counts = (
        line.responses,
        tokens.input,
        tokens.cache_read,
        tokens.cache_write_5m,
        tokens.cache_write_1h,
        tokens.output,
    )
    return [*(mark + shown(count) for count in counts), cost_text(line)]


def cost_text(line: Line) -> str:
    """Dollars; `≥` where a part has no price or is not known, `≈` where it is an estimate."""
    if not line.priced:
        return "unpriced" if line.unpriced_tokens else "?" if line.unknown_calls else money(0)
    return cost_mark(line) + money(line.cost_nusd)


def cost_mark(line: Line) -> str:
    """What stands before its dollars: `≥`, `≈`, both or nothing."""
    return "≥" * bool(line.unpriced_tokens or line.unknown_calls) + "≈" * (
        line.cost_estimated or line.estimated
    )
