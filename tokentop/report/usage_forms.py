"""Other forms of `tokentop usage`: bars, a year by days, Markdown, and one time beside the time before it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date, timedelta, tzinfo
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tokentop.engine.days import local, midnight_ms
from tokentop.store import by_day
from tokentop.store.reader import Filter
from tokentop.store.slots import BUCKETS
from tokentop.text import clean, plural

from .chart import bars, year
from .out import iso, money, plain_table, usd
from .usage import Line, collect, cost_mark, cost_text, total_of

_BARS = 60
_WIDTH = 78
_COMPARED_DAYS = 7
_ESCAPED = {ord(sign): f"&#{ord(sign)};" for sign in "\\|`*_<>[]&"}


def chart(lines: Sequence[Line], by: Sequence[str]) -> str:
    """The cost of each group as a bar: times in their order, all else the most expensive first."""
    rows = [(" ".join(line.key) or "all", line.cost_nusd, cost_mark(line)) for line in lines]
    if by[:1] not in (["day"], ["hour"]):
        rows.sort(key=lambda row: (-row[1], row[0]))
    shown = rows[-_BARS:] if by[:1] in (["day"], ["hour"]) else rows[:_BARS]
    out = bars(shown, " ".join(name.upper() for name in by), _WIDTH)
    if len(shown) < len(rows):
        rest = sum(row[1] for row in rows) - sum(row[1] for row in shown)
        out.append(f"and {len(rows) - len(shown)} more: {money(rest)}")
    return "\n".join([*out, f"total {cost_text(total_of(lines))}"])


def heatmap(db: sqlite3.Connection, wanted: Filter, zone: tzinfo, at_ms: int) -> str:
    """The year that ends with the time asked for, today without one; a square a day."""
    last = local(wanted.until_ms - 1 if wanted.until_ms is not None else at_ms, zone).date()
    span = replace(
        wanted, since_ms=midnight_ms(last - timedelta(days=364), zone), until_ms=midnight_ms(last + timedelta(days=1), zone)
    )  # fmt: skip
    costs: dict[date, int] = {}
    more = guessed = False
    for slot in by_day.sums(db, span, ("day",), zone):
        day = local(slot.slot_ms, zone).date()
        costs[day] = costs.get(day, 0) + slot.cost_nusd
        more = more or bool(slot.unpriced_tokens or slot.unknown_calls)
        guessed = guessed or slot.estimated or slot.cost_estimated
    spent = sum(costs.values())
    used = sum(cost > 0 for cost in costs.values())
    peak = max(costs, key=lambda day: costs[day], default=None)
    said = f"{'≥' * more}{'≈' * guessed}{money(spent)} in the year to {last}, on {plural(used, 'day')}"
    if peak is not None and costs[peak]:
        said += f"; most on {peak}: {money(costs[peak])}"
    return "\n".join([*year(costs, last), "", said])


def markdown(lines: Sequence[Line], by: Sequence[str]) -> str:
    """A table for a page or a message; text of logs cannot break out of its cell."""
    heads = [*by, "responses", *(name.replace("_", " ") for name in BUCKETS[:5]), "cost"]
    rows = [_markdown_row([_cell(part) for part in line.key], line) for line in lines]
    if len(lines) != 1:
        exact = total_of(line for line in lines if not line.estimated)
        rows.append(_markdown_row(["**total**", *[""] * (len(by) - 1)] if by else [], exact))
    rule = ["---"] * len(by) + ["---:"] * (len(heads) - len(by))
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows)) + "\n"


def _markdown_row(names: list[str], line: Line) -> list[str]:
    mark = "≈" * line.estimated
    counts = (line.responses, *(getattr(line.tokens, name) for name in BUCKETS[:5]))
    return [*names, *(f"{mark}{count:,}" for count in counts), cost_text(line)]


def _cell(text: str) -> str:
    return clean(text, 60).translate(_ESCAPED)


def _at_least(line: Line) -> bool:
    return bool(line.unpriced_tokens or line.unknown_calls)


# ------------------------------------------------------------ two times


class Pair(Struct, frozen=True):
    """One group in both times; None = it has nothing there."""

    key: tuple[str, ...]
    before: Line | None
    now: Line | None

    @property
    def change_nusd(self) -> int:
        return (self.now.cost_nusd if self.now else 0) - (self.before.cost_nusd if self.before else 0)


def two_spans(wanted: Filter, zone: tzinfo, at_ms: int) -> tuple[Filter, Filter]:
    """(the time before, the time asked for), equally long: by local days where it begins with one.

    Without a beginning the last seven local days, today included.
    """
    since_ms, until_ms = wanted.since_ms, wanted.until_ms if wanted.until_ms is not None else at_ms
    today = local(until_ms - 1, zone).date()
    if since_ms is None:
        since_ms = midnight_ms(today - timedelta(days=_COMPARED_DAYS - 1), zone)
    first = local(since_ms, zone).date()
    if midnight_ms(first, zone) == since_ms:
        days = (today - first).days + 1
        before_ms = midnight_ms(first - timedelta(days=days), zone)
        if midnight_ms(today + timedelta(days=1), zone) == until_ms:
            end_ms = since_ms
        else:  # the last day is not over: the day before it is cut at the same time
            end_ms = midnight_ms(today - timedelta(days=days), zone) + until_ms - midnight_ms(today, zone)
    else:
        before_ms, end_ms = since_ms - (until_ms - since_ms), since_ms
    return replace(wanted, since_ms=before_ms, until_ms=min(end_ms, since_ms)), replace(
        wanted, since_ms=since_ms, until_ms=until_ms
    )


def compared(
    db: sqlite3.Connection, spans: tuple[Filter, Filter], by: Sequence[str], zone: tzinfo
) -> list[Pair]:
    """The groups of both times, the greatest change first."""
    before, now = ({line.key: line for line in _merged(collect(db, one, by, zone))} for one in spans)
    pairs = [Pair(key, before.get(key), now.get(key)) for key in {**before, **now}]
    return sorted(pairs, key=lambda pair: (-abs(pair.change_nusd), pair.key))


def _merged(lines: Sequence[Line]) -> list[Line]:
    """Estimates beside the exact rows of their groups: a change of money is of both."""
    found: dict[tuple[str, ...], Line] = {}
    for line in lines:
        known = found.get(line.key)
        found[line.key] = line if known is None else _with_key(total_of([known, line]), line.key)
    return list(found.values())


def _with_key(line: Line, key: tuple[str, ...]) -> Line:
    line.key = key
    return line


def comparison_text(
    pairs: Sequence[Pair], spans: tuple[Filter, Filter], by: Sequence[str], zone: tzinfo
) -> str:
    heads = [
        *(name.upper() for name in by),
        _span_name(spans[0], zone),
        _span_name(spans[1], zone),
        "CHANGE",
        "",
    ]
    rows = [[*(clean(part, 40) for part in pair.key), *_changed(pair.before, pair.now)] for pair in pairs]
    sums = [
        total_of(line for line in lines if line is not None)
        for lines in zip(*((p.before, p.now) for p in pairs), strict=True)
    ]
    if len(pairs) > 1:
        rows.append([*(["total", *[""] * (len(by) - 1)] if by else []), *_changed(sums[0], sums[1])])
    end = local(spans[1].until_ms or 0, zone)
    note = f"\nthe last day of each until {end:%H:%M}" if end.hour or end.minute else ""
    return plain_table(heads, rows, left=len(by)) + note


def _changed(before: Line | None, now: Line | None) -> list[str]:
    was, is_ = before.cost_nusd if before else 0, now.cost_nusd if now else 0
    share = f"{100 * (is_ - was) / was:+,.0f} %" if was else "new" if is_ else ""
    if _unknown(before, now):
        change, share = "?", ""
    else:
        less, more = (line is not None and _at_least(line) for line in (before, now))
        mark = "≈" if less and more else "≤" if less else "≥" if more else ""
        change = mark + ("+" if is_ >= was else "-") + money(abs(is_ - was))
    return [cost_text(before) if before else "", cost_text(now) if now else "", change, share]


def _unknown(before: Line | None, now: Line | None) -> bool:
    """Whether a side has no price at all: its change is not known."""
    return any(line is not None and _at_least(line) and not line.priced for line in (before, now))


def _span_name(span: Filter, zone: tzinfo) -> str:
    assert span.since_ms is not None
    assert span.until_ms is not None
    first, last = local(span.since_ms, zone), local(span.until_ms - 1, zone)
    whole = first.hour == first.minute == 0
    if first.date() == last.date():
        return f"{first:%m-%d}" if whole else f"{first:%m-%d %H:%M}"
    return f"{first:%m-%d} TO {last:%m-%d}" if whole else f"{first:%m-%d %H:%M} TO {last:%m-%d %H:%M}"


def comparison_document(
    pairs: Sequence[Pair], spans: tuple[Filter, Filter], by: Sequence[str], at_ms: int
) -> dict[str, Any]:
    """`tokentop.comparison/1`."""

    def side(line: Line | None) -> dict[str, Any]:
        found = line or Line((), False)
        return {
            "cost_usd": usd(found.cost_nusd) if found.priced or line is None else None, "responses": found.responses,
            "tokens": found.tokens.total, "at_least": _at_least(found),
        }  # fmt: skip

    before, now = ({"since": iso(span.since_ms or 0), "until": iso(span.until_ms or 0)} for span in spans)
    return {
        "schema": "tokentop.comparison/1", "generated_at": iso(at_ms), "by": list(by), "before": before, "now": now,
        "rows": [
            dict(zip(by, pair.key, strict=True))
            | {
                "before": side(pair.before),
                "now": side(pair.now),
                "change_usd": None if _unknown(pair.before, pair.now) else usd(pair.change_nusd),
            }
            for pair in pairs
        ],
    }  # fmt: skip
