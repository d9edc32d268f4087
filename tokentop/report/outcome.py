"""`tokentop outcome`: what the tokens bought, by session, project, agent, model or day."""

from __future__ import annotations

import argparse
import os
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import timedelta, tzinfo
from typing import Any

from msgspec.structs import replace

from tokentop.answers.bought import Gathered, gather
from tokentop.answers.catching_up import bring_up
from tokentop.answers.harvest import Report
from tokentop.clock import now_ms
from tokentop.engine.days import Days, local, midnight_ms
from tokentop.engine.tally import Done, Pair, Sum, add_up, cost_of, merged
from tokentop.engine.when import BadTime, parse_when
from tokentop.errors import NothingMatched, UsageError
from tokentop.export.brought import both, figures, survived, tools_told
from tokentop.ledger import prices
from tokentop.settings.zone import local_zone
from tokentop.store import by_day
from tokentop.store.reader import Filter
from tokentop.text import clean, plural

from . import access
from .out import fitted_table, iso, money, print_json, room, short_ids, wrapped

DIMENSIONS = ("session", "project", "agent", "model", "day")
PERIOD_DAYS = 30


def outcome(arguments: argparse.Namespace) -> int:
    by = arguments.by or "project"
    if by not in DIMENSIONS:
        raise UsageError(f"--by {by}: choose from {', '.join(DIMENSIONS)}")
    zone, at_ms = local_zone(os.environ), now_ms()
    since_ms, until_ms = _period(arguments, zone, at_ms)
    with access.opened(quiet=arguments.json) as store, access.writable(store) as writable:
        days = store.settings.survive_days
        report = bring_up(
            writable, prices(store.settings), since_ms, at_ms, days=days, seconds=store.settings.outcome_s
        )
        found = gather(writable, since_ms, until_ms, days, at_ms, by, zone, arguments.limit)
        sums, whole = summed(writable, found, by, (since_ms, until_ms), at_ms, zone)
        notes = store.notes
    if by == "session":
        sums = sums[: arguments.limit]
    if not found:
        raise NothingMatched("no session was used in that time; widen it with --since")
    if arguments.json:
        print_json(document(sums, whole, found.nobodys, report, notes, by, (since_ms, until_ms), at_ms, days))
    else:
        print(as_text(sums, whole, found.nobodys, report, by, days))
    return 0


def _period(arguments: argparse.Namespace, zone: tzinfo, at_ms: int) -> tuple[int, int]:
    try:
        since = arguments.since or ""
        first = local(at_ms, zone).date() - timedelta(days=PERIOD_DAYS - 1)
        since_ms = parse_when(since, zone, at_ms, end=False) if since else midnight_ms(first, zone)
        until_ms = at_ms + 1
        if arguments.until:
            until_ms = parse_when(arguments.until, zone, at_ms, end=True, after_ms=since_ms)
    except BadTime as error:
        raise UsageError(str(error)) from error
    if since_ms >= until_ms:
        raise UsageError(f"--since {arguments.since} is not before --until {arguments.until or 'now'}")
    return since_ms, until_ms


# ------------------------------------------------------------ groups


def summed(
    connection: sqlite3.Connection, found: Gathered, by: str, span: tuple[int, int], at_ms: int, zone: tzinfo
) -> tuple[list[Sum], Sum]:  # fmt: skip
    """The groups, the most expensive first, days in their order; and all of them together.

    By session those that were asked for, at least.
    """
    if by == "day":
        return _by_day(connection, found, span, at_ms, zone)
    partly = add_up(found.done, found.shares, lambda session, _at: _key(session, by), at_ms)
    if by == "session":
        sums, whole = (
            [*found.kept.sums, *partly],
            partly if found.kept.total is None else [found.kept.total, *partly],
        )
    else:
        sums = whole = _merged(found.kept.sums, partly, "unknown")
    return sorted(sums, key=lambda one: (-one.cost_nusd, one.key)), merged(("total",), whole)


def _merged(kept: Sequence[Sum], partly: Sequence[Sum], nameless: str = "") -> list[Sum]:
    groups: dict[tuple[str, ...], list[Sum]] = {}
    for one in (*kept, *partly):
        key = one.key if all(one.key) else tuple(part or nameless for part in one.key)
        groups.setdefault(key, []).append(one)
    return [merged(key, groups[key]) for key in sorted(groups)]


def _by_day(
    connection: sqlite3.Connection, found: Gathered, span: tuple[int, int], at_ms: int, zone: tzinfo
) -> tuple[list[Sum], Sum]:
    """Each thing on its day. Cost is that of the day's calls; a session is counted on each day on which it worked."""
    day_of = Days(*span, zone).of
    partly = add_up(found.done, found.shares, lambda _session, at: (day_of(at),), at_ms, with_money=False)
    whole = merged(("total",), [*found.kept.sums, *partly, *map(cost_of, found.done)])
    sums = {one.key: replace(one) for one in _merged(found.kept.sums, partly)}
    for one in sums.values():
        one.sessions = found.kept.worked.get(one.key, 0)
        one.cost_nusd = one.unpriced_tokens = one.unknown_calls = 0
        one.estimated = one.priced = False
    for slot in by_day.sums(connection, Filter(*span), ("day",), zone):
        key = (local(slot.slot_ms, zone).date().isoformat() if slot.slot_ms else "unknown",)
        one = sums.setdefault(key, Sum(key))
        one.cost_nusd += slot.cost_nusd
        one.unpriced_tokens += slot.unpriced_tokens
        one.unknown_calls += slot.unknown_calls
        one.estimated = one.estimated or slot.estimated or slot.cost_estimated
        one.priced = one.priced or slot.cost_nusd > 0 or slot.unpriced_tokens < slot.tokens.total
    for session in found.done:
        for day in {day_of(max(start, span[0])) for start, end in session.spans if end >= span[0]}:
            sums.setdefault((day,), Sum((day,))).sessions += 1
    return [sums[key] for key in sorted(sums)], whole


def _key(session: Done, by: str) -> tuple[str, ...]:
    if by == "session":
        return (session.agent, session.sid, session.title)
    return (str(getattr(session, by)),)


# ------------------------------------------------------------ JSON


def document(
    sums: Sequence[Sum], total: Sum, nobodys: int, report: Report, notes: Sequence[str], by: str,
    span: tuple[int, int], at_ms: int, days: int,
) -> dict[str, Any]:  # fmt: skip
    """`tokentop.outcome/1`."""
    return {
        "schema": "tokentop.outcome/1",
        "generated_at": iso(at_ms),
        "since": iso(span[0]),
        "until": iso(min(span[1], at_ms)),
        "by": by,
        "survive_days": days,
        "rows": [_named(one, by) | figures(one) for one in sums],
        "more": _is_cut(sums, total, by),
        "totals": figures(total),
        "nobodys_commits": nobodys,
        "not_looked_at": {
            "repositories": report.notes,
            "changes_waiting": report.waiting,
            "logs_unread": report.unread_logs,
            "sessions_later": report.later,
        },
        "notes": list(notes),
    }


def _is_cut(sums: Sequence[Sum], total: Sum, by: str) -> bool:
    """Whether there are more sessions than those that are told."""
    return by == "session" and len(sums) < total.sessions


def _named(one: Sum, by: str) -> dict[str, Any]:
    if by == "session":
        agent, sid, title = one.key
        return {"session": sid, "agent": agent, "title": title or None}
    return {by: one.key[0]}


# ------------------------------------------------------------ text


def as_text(sums: Sequence[Sum], total: Sum, nobodys: int, report: Report, by: str, days: int) -> str:
    """A table for people, totals last, then what was wasted and what is not known."""
    heads = [
        "COST", "COMMITS", "+LINES", "-LINES", "SURVIVED", "FILES", "PRS", "TESTS", "$/COMMIT", "$/100 LINES", "UNCHANGED",
    ]  # fmt: skip
    left = ["AGENT", "SESSION", "TITLE"] if by == "session" else [by.upper(), "SESSIONS"]
    names = short_ids(one.key[1] for one in sums) if by == "session" else {}
    rows = [[*_left(one, by, names), *_cells(one)] for one in sums]
    cut = _is_cut(sums, total, by)
    if cut or len(sums) != 1:
        rows.append(
            [*(["total", "", ""] if by == "session" else ["total", str(total.sessions)]), *_cells(total)]
        )
    named = len(left) if by == "session" else 1
    heads = [*left, *heads]
    told = [at for at in range(len(heads)) if at <= named or any(row[at] for row in rows)]
    cells = room()
    table = fitted_table(
        [heads[at] for at in told], [[row[at] for at in told] for row in rows], named, cells,
        least={"TITLE": 20, "PROJECT": 16, "MODEL": 16},
    )  # fmt: skip
    lines = [
        f"the {len(sums)} dearest of {total.sessions:,} sessions; further ones with --limit {2 * len(sums)}",
        "",
    ] * cut
    lines += [part for line in _waste(total) for part in wrapped(line, cells, 31)]
    lines += [part for line in _unknown(total, nobodys, report, days) for part in wrapped(line, cells, 2)]
    return "\n".join([table, "", *lines])


def _left(one: Sum, by: str, names: Mapping[str, str]) -> list[str]:
    if by == "session":
        agent, sid, title = one.key
        return [agent, names[sid], clean(title or "(no title)", 40)]
    return [clean(one.key[0], 30), str(one.sessions)]


def _cells(one: Sum) -> list[str]:
    tests = f"{one.passed}/{one.passed + one.failed}" if one.passed + one.failed else ""
    return [
        _cost(one), both(one.commits), both(one.added), both(one.removed),
        survived(one), f"{len(one.files):,}" if one.files else "",
        str(len(one.pulls)) if one.pulls else "", tests + f" {one.untold}?" * bool(one.untold),
        _rate(one.per_commit_nusd, one, one.commits), _rate(_hundred(one), one, one.survived, at_most=bool(one.waiting)),
        _unchanged(one) + f" {one.unclear}?" * bool(one.unclear),
    ]  # fmt: skip


def _unchanged(one: Sum) -> str:
    if not one.unchanged:
        return ""
    return f"{one.unchanged} {money(one.unchanged_nusd) if one.priced else '?'}"


def _cost(one: Sum) -> str:
    if not one.priced:
        return "unpriced" if one.unpriced_tokens else "?" if one.unknown_calls else ""
    return "≥" * one.at_least + "≈" * one.estimated + money(one.cost_nusd)


def _rate(nusd: float | None, one: Sum, pair: Pair, *, at_most: bool = False) -> str:
    if nusd is None:
        return ""
    mark = "~" * bool(pair.guessed) + (
        "≥" if one.at_least and not at_most else "≤" if at_most and not one.at_least else ""
    )
    return ("?" if one.at_least and at_most else mark) + money(round(nusd))


def _hundred(one: Sum) -> float | None:
    each = one.per_line_nusd
    return None if each is None else 100 * each


def _waste(total: Sum) -> list[str]:
    """The share of spend in loops, retries and abandoned sessions."""
    found = []
    for name, nusd, more in (
        ("loops", total.loops_nusd, "the same call 5 times in a row or more"),
        ("retries", total.retries_nusd, "the same call after it had failed"),
        ("hidden", total.hidden_nusd, "at most this for calls that were cut off; compactions are in it"),
        ("waiting", total.waiting_nusd, "paid again because the cache had expired while a session waited"),
        ("abandoned", total.abandoned_nusd, f"{plural(total.abandoned, 'session')} ended with nothing changed, never resumed"),
    ):  # fmt: skip
        known = tools_told(total) or name not in {"loops", "retries"}
        share = f"{100 * nusd / total.cost_nusd:5.1f} %" if total.cost_nusd and known else "    ? %"
        found.append(f"{name:10} {money(nusd) if known else '?':>10} {share}  {more}")
    return found


def _unknown(total: Sum, nobodys: int, report: Report, days: int) -> list[str]:
    """What cannot be said, or was not looked at."""
    said = []
    if total.commits.guessed or total.added.guessed:
        said.append(
            "~ guessed, from files that were edited or from place and time; what is without ~ is sure"
        )
    if nobodys:
        said.append(
            f"{plural(nobodys, 'commit')} in these repositories: no session is known to have made them"
        )
    if total.young:
        said.append(
            f"{round(total.young):,} of the surviving lines are younger than {plural(days, 'day')}: as it is now"
        )
    if total.waiting:
        said.append(f"{round(total.waiting):,} added lines: not known yet whether they survived")
    if total.unread:
        said.append(
            f"{plural(round(total.unread), 'commit')} without known lines (parent not here, or too large)"
        )
    if total.unclear:
        said.append(
            f"{plural(total.unclear, 'session')} of which neither git nor a log tells whether anything changed"
        )
    if total.silent:
        said.append(
            f"{plural(total.silent, 'session')} whose log tells no tools: loops, retries, tests, edits not known"
        )
    if total.waste_unknown:
        said.append(
            f"{plural(total.waste_unknown, 'piece')} of waste without a known cost, not in these sums"
        )
    if report.unread_logs or report.waiting or report.later:
        left = [(report.unread_logs, "log"), (report.later, "session"), (report.waiting, "change")]
        names = ", ".join(plural(count, noun) for count, noun in left if count)
        said.append(f"time was up: {names} not looked at; run it again, it goes on where it stopped")
    for place, notes in sorted(report.notes.items()):
        said += [f"{clean(place, 80)}: {note}" if place else clean(note, 160) for note in notes]
    return [f"? {line}" for line in said]
