"""`tokentop today` and `tokentop yesterday`: one day on one screen."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from datetime import date, timedelta, tzinfo
from statistics import median
from typing import Any

from msgspec import Struct

from tokentop.clock import now_ms
from tokentop.engine.days import day_bounds, group_days, local, midnight_ms
from tokentop.engine.forecast import Forecaster
from tokentop.engine.profile import HISTORY_DAYS
from tokentop.engine.rates import Rates
from tokentop.nouns.facts import Diagnostic
from tokentop.nouns.recorded import Mark
from tokentop.settings.zone import local_zone
from tokentop.sevenbits import to_ascii
from tokentop.store import by_day, dayview, frames, reader
from tokentop.store.dayview import Hit, Spender, Trouble
from tokentop.store.reader import Filter
from tokentop.text import clean, clock, plural, window_name

from . import access
from .chart import bars, columns_beside, sparks
from .out import iso, money, print_json, short_ids, usd
from .usage import Line, collect, cost_mark, total_of

_TOP = 5
_USUAL_DAYS = 28
_SAME_DAY = 3  # past days of the same name that are enough to go by
_HOUR_MS = 3_600_000


class Usual(Struct, frozen=True):
    """Medians of past days with spend: of the whole day, and until the present time of the day."""

    nusd: int
    by_now_nusd: int
    days: int
    of: str  # "Sundays", "days"


class Told(Struct, frozen=True):
    """Everything on the page."""

    day: date
    since_ms: int
    until_ms: int
    is_today: bool
    total: Line
    projected: tuple[int, int, int] | None  # of today: median, low, high; None = a past day, or not known
    noon: tuple[int, int, int] | None  # what was projected around noon: the median, low, high
    usual: Usual | None
    hours: tuple[int, ...]  # nano-dollars of each hour from local midnight
    projects: tuple[tuple[str, int, str], ...]  # most expensive first, with the mark of the money
    agents: tuple[tuple[str, int, str], ...]
    sessions: tuple[Spender, ...]
    limits: tuple[Hit, ...]
    marks: tuple[Mark, ...]  # alerts and actions, by time
    troubles: tuple[Trouble, ...]  # sessions with errors and limits, the most first
    unread: int  # problems while reading


def day(which: str, as_json: bool) -> int:
    """Print `today` or `yesterday`."""
    zone, at_ms = local_zone(os.environ), now_ms()
    with access.opened(quiet=as_json) as store:
        access.bring_days(store, zone)
        told = tell(store.db, which, zone, at_ms, store.current)
        plain = store.settings.ascii
    if as_json:
        print_json(document(told, at_ms))
    else:
        text = as_text(told, zone, at_ms)
        print(to_ascii(text) if plain else text)
    return 0


def tell(
    db: sqlite3.Connection, which: str, zone: tzinfo, at_ms: int, current: Sequence[Diagnostic] = ()
) -> Told:  # fmt: skip
    """Gather one day. sqlite3.Error."""
    start_ms, end_ms, the_day = day_bounds(at_ms, zone)
    is_today = which == "today"
    if not is_today:
        start_ms, end_ms, the_day = day_bounds(start_ms - 1, zone)
    span = Filter(start_ms, end_ms)
    lines = collect(db, span, ("project", "agent"), zone)
    total = total_of(lines)
    projected = _projected(db, zone, at_ms, start_ms, total.cost_nusd) if is_today else None
    passed_ms = at_ms - start_ms if is_today else end_ms - start_ms
    return Told(
        the_day, start_ms, end_ms, is_today, total, projected, None if is_today else _noon(db, the_day, start_ms),
        _usual(db, the_day, zone, passed_ms),
        _hours(db, start_ms, end_ms), _most(lines, 0), _most(lines, 1),
        tuple(dayview.most_expensive(db, start_ms, end_ms, _TOP)), tuple(dayview.limits_hit(db, start_ms, end_ms)),
        tuple(one for one in frames.marks(db, start_ms, end_ms) if one.kind in {"alert", "action"}),
        tuple(dayview.troubles(db, start_ms, end_ms)),
        sum(one.count for one in (*current, *reader.health(db)) if one.kind not in {"duplicate", "compaction"}),
    )  # fmt: skip


def _projected(
    db: sqlite3.Connection, zone: tzinfo, at_ms: int, start_ms: int, today_nusd: int
) -> tuple[int, int, int] | None:
    """The same as on the live screen: from the past days, the last minute and the last hour."""
    rates = Rates()
    rates.advance(at_ms)
    for priced in reader.recent_events(db, at_ms - rates.kept_ms):
        rates.add(priced, priced.usage.session_id)
    history = reader.cost_by_hour(db, start_ms - (HISTORY_DAYS + 1) * 24 * _HOUR_MS, start_ms)
    found = Forecaster(group_days(history, zone), zone).project(at_ms, today_nusd, *rates.burns())
    return None if found.method == "none" else (found.projected_nusd, found.low_nusd, found.high_nusd)


def _usual(db: sqlite3.Connection, the_day: date, zone: tzinfo, passed_ms: int) -> Usual | None:
    """Medians of the last days with spend: of the same name where there are enough."""
    first = the_day - timedelta(days=_USUAL_DAYS)
    totals: dict[date, int] = {}
    for slot in by_day.sums(db, Filter(midnight_ms(first, zone), midnight_ms(the_day, zone)), ("day",), zone):
        past = local(slot.slot_ms, zone).date()
        totals[past] = totals.get(past, 0) + slot.cost_nusd
    spent = [past for past, cost in totals.items() if cost]
    same = [past for past in spent if past.weekday() == the_day.weekday()]
    of, used = (the_day.strftime("%As"), same) if len(same) >= _SAME_DAY else ("days", spent)
    if not used:
        return None
    by_now = [
        sum(cost for _, cost in reader.cost_by_slot(db, start_ms, start_ms + passed_ms))
        for start_ms in (midnight_ms(past, zone) for past in used)
    ]
    return Usual(round(median(totals[past] for past in used)), round(median(by_now)), len(used), of)


def _noon(db: sqlite3.Connection, the_day: date, start_ms: int) -> tuple[int, int, int] | None:
    stored = reader.projections(db, the_day.isoformat())
    near = min(stored, key=lambda one: abs(one[0] - start_ms - 12 * _HOUR_MS), default=None)
    return None if near is None or abs(near[0] - start_ms - 12 * _HOUR_MS) > 2 * _HOUR_MS else near[1:]


def _hours(db: sqlite3.Connection, start_ms: int, end_ms: int) -> tuple[int, ...]:
    found = [0] * max(1, -(-(end_ms - start_ms) // _HOUR_MS))
    for at_ms, cost in reader.cost_by_slot(db, start_ms, end_ms):
        found[min(len(found) - 1, max(0, (at_ms - start_ms) // _HOUR_MS))] += cost
    return tuple(found)


def _most(lines: Sequence[Line], at: int) -> tuple[tuple[str, int, str], ...]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.key[at], []).append(line)
    sums = [(name, total_of(found)) for name, found in groups.items()]
    sums.sort(key=lambda item: (-item[1].cost_nusd, item[0]))
    return tuple((name, total.cost_nusd, cost_mark(total)) for name, total in sums)


# ------------------------------------------------------------ JSON


def document(told: Told, at_ms: int) -> dict[str, Any]:
    """`tokentop.day/1`."""
    total, usual = told.total, told.usual
    return {
        "schema": "tokentop.day/1", "generated_at": iso(at_ms), "day": told.day.isoformat(),
        "since": iso(told.since_ms), "until": iso(told.until_ms),
        "spent_usd": usd(total.cost_nusd), "responses": total.responses, "tokens": total.tokens.total,
        "unpriced_tokens": total.unpriced_tokens, "unknown_calls": total.unknown_calls,
        "estimated": total.cost_estimated,
        "projected": _interval(told.projected),
        "projected_at_noon": _interval(told.noon),
        "usual": None if usual is None else {
            "usd": usd(usual.nusd), "by_now_usd": usd(usual.by_now_nusd), "days": usual.days, "of": usual.of,
        },
        "hours_usd": [usd(cost) for cost in told.hours],
        "projects": [{"project": name, **_sum(cost, mark)} for name, cost, mark in told.projects],
        "agents": [{"agent": name, **_sum(cost, mark)} for name, cost, mark in told.agents],
        "sessions": [
            {"session": one.line.sid, "agent": one.line.agent, "project": one.line.project,
             "title": one.line.title or None, "cost_usd": usd(one.cost_nusd), "at_least": one.at_least}
            for one in told.sessions
        ],
        "limits_hit": [
            {"provider": one.provider, "limit": one.limit_id, "window_minutes": one.window_minutes, "at": iso(one.at_ms)}
            for one in told.limits
        ],
        "events": [
            {"at": iso(one.at_ms), "kind": one.kind, "agent": one.agent, "text": one.text} for one in told.marks
        ],
        "errors": [
            {"agent": one.agent, "session": one.sid, "first_at": iso(one.first_ms), "count": one.count,
             "by_kind": dict(one.counts)}
            for one in told.troubles
        ],
        "problems": told.unread,
    }  # fmt: skip


def _sum(cost_nusd: int, mark: str) -> dict[str, Any]:
    return {"cost_usd": usd(cost_nusd), "at_least": "≥" in mark, "estimated": "≈" in mark}


def _interval(found: tuple[int, int, int] | None) -> dict[str, str] | None:
    return None if found is None else dict(zip(("usd", "low_usd", "high_usd"), map(usd, found), strict=True))


# ------------------------------------------------------------ text


def as_text(told: Told, zone: tzinfo, at_ms: int) -> str:
    """The page: at most 24 lines of at most 80 characters."""
    head = f"{told.day:%A} {told.day.day} {told.day:%B %Y}" + f" ∙ {clock(at_ms, zone)}" * told.is_today
    lines = [head, _spent(told), *_at_noon(told), _against(told), _hours_line(told, zone, at_ms), ""]
    left = bars(told.projects[:_TOP], "PROJECT", 38)
    right = bars(told.agents[:_TOP], "AGENT", 38)
    lines += columns_beside(left, right, 41)
    if told.sessions:
        lines += ["", *_sessions(told.sessions)]
    return "\n".join([*lines, *_wrong(told, zone)])


def _sessions(found: Sequence[Spender]) -> list[str]:
    """The most expensive sessions: cost to the right, names to the left."""
    table = [["COST", "AGENT", "SESSION", "PROJECT", "TITLE"]]
    names = short_ids(one.line.sid for one in found)
    for one in found:
        cost = "≥" * one.at_least + "≈" * one.line.estimated + money(one.cost_nusd)
        name, title = clean(one.line.project, 14), clean(one.line.title or "(no title)", 32)
        table.append([cost, one.line.agent[:10], names[one.line.sid], name, title])
    widths = [max(len(row[at]) for row in table) for at in range(5)]
    return [
        "  ".join([row[0].rjust(widths[0]), *(cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in table
    ]  # fmt: skip


def _spent(told: Told) -> str:
    total = told.total
    text = f"spent {cost_mark(total)}{money(total.cost_nusd)} in {plural(total.responses, 'response')}"
    if told.projected is not None:
        middle, low, high = map(money, told.projected)
        text += f", {middle} projected ({low} to {high})"
    return text


def _at_noon(told: Told) -> list[str]:
    """How the projection of a past day's noon has held."""
    if told.noon is None:
        return []
    inside = "inside" if told.noon[1] <= told.total.cost_nusd <= told.noon[2] else "outside"
    return [f"at noon {money(told.noon[0])} was projected: it came {inside} the 80 % interval"]


def _against(told: Told) -> str:
    usual = told.usual
    if usual is None:
        return "no past days to compare with"
    spent = told.total.cost_nusd
    if not told.is_today:
        return f"usual {money(usual.nusd)} ({_of(usual)}): {_times(spent, usual.nusd)}"
    return (
        f"usual by now {money(usual.by_now_nusd)}: {_times(spent, usual.by_now_nusd)}; usual whole day"
        f" {money(usual.nusd)} ({_of(usual)})"
    )


def _of(usual: Usual) -> str:
    return plural(usual.days, usual.of.removesuffix("s"))


def _times(spent: int, usual: int) -> str:
    return f"{spent / usual:.1f} x that" if usual else "nothing usually"


def _hours_line(told: Told, zone: tzinfo, at_ms: int) -> str:
    passed = (
        len(told.hours)
        if not told.is_today
        else min(len(told.hours), (at_ms - told.since_ms) // _HOUR_MS + 1)
    )
    top = max(range(passed), key=lambda at: told.hours[at], default=0)
    peak = f"  most at {local(told.since_ms + top * _HOUR_MS, zone):%H:%M}: {money(told.hours[top])}"
    return f"{sparks(told.hours[:passed]).ljust(len(told.hours))}{peak if any(told.hours) else '  nothing'}"


def _wrong(told: Told, zone: tzinfo) -> list[str]:
    """What went wrong, what was done about it, and what is not known."""
    found = [
        f"{clock(hit.at_ms, zone)}  {hit.provider} {window_name(hit.window_minutes)} limit full"
        for hit in told.limits
    ]
    done = [one for one in told.marks if one.kind == "action"][:3]
    found += [f"{clock(one.at_ms, zone)}  {clean(one.text, 40)} {clean(one.row_key, 24)}" for one in done]
    alerts = [one for one in told.marks if one.kind == "alert"]
    found += [
        f"{clock(one.at_ms, zone)}  {clean(one.row_key, 24)} {clean(one.text, 46)}" for one in alerts[:3]
    ]
    if len(alerts) > 3:
        found.append(f"{len(alerts) - 3} more alerts; see: tokentop replay")
    found += _troubles(told.troubles)
    if told.total.unknown_calls:
        found.append(
            f"{plural(told.total.unknown_calls, 'call')} without usage in the logs: running, or cut off"
        )
    if told.unread:
        found.append(f"{plural(told.unread, 'problem')} while reading; see: tokentop doctor")
    return ["", *(found or ["nothing went wrong, as far as is known"])]


def _troubles(found: Sequence[Trouble]) -> list[str]:
    """One line: how many, where most of them were, and what these were."""
    if not found:
        return []
    first, whole = found[0], sum(one.count for one in found)
    kinds = ", ".join(clean(name, 16) for name, _ in first.counts[:2])
    where = f"{clean(first.agent, 10)} {short_ids(one.sid for one in found)[first.sid]}"
    said = "1 error or limit" if whole == 1 else f"{whole:,} errors and limits"
    most = f", {first.count:,} of them" if len(found) > 1 else ""
    return [f"{said}{most} in {where} ({kinds})"]
