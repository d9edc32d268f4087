"""`tokentop replay`: the live table as it was, who spent in a span, and where the day's curve rose."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from typing import Any

from tokentop.answers.footage import Footage
from tokentop.clock import now_ms
from tokentop.engine.days import day_bounds, local
from tokentop.engine.when import BadTime, parse_when
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.nouns.recorded import Coverage, Jump, Mark, Share, Spent
from tokentop.places import state_dir
from tokentop.settings.load import load
from tokentop.settings.zone import local_zone
from tokentop.store import spans
from tokentop.store.db import StoreError
from tokentop.text import duration_long, plural, size_bytes

from . import access, snapshot
from .out import fitted_table, iso, money, print_json, room, short_ids, usd, wrapped

_SHOWN = 20  # sessions of a span as text
_JUMPS = 5
_NAMED = 3  # who spent while the curve rose


def replay(at: str | None, since: str | None, until: str | None, *, as_json: bool) -> int:
    """Print a moment, a span, or without either what is recorded of today. UsageError, Failure, NothingMatched."""
    zone, clock_ms = local_zone(os.environ), now_ms()
    if at and (since or until):
        raise UsageError("--at is a moment, --from and --until a span: give one of them")
    if at:
        return _moment(moment_of(at, zone, clock_ms), zone, as_json)
    if since or until:
        from_ms = moment_of(since, zone, clock_ms) if since else day_bounds(clock_ms, zone)[0]
        until_ms = moment_of(until, zone, clock_ms, end=True, after_ms=from_ms) if until else clock_ms
        if from_ms >= until_ms:
            raise UsageError(f"--from {since or 'today'} is not before --until {until or 'now'}")
        return _span(from_ms, until_ms, zone, as_json)
    return _overview(clock_ms, zone, as_json)


def moment_of(
    words: str, zone: tzinfo, clock_ms: int, *, end: bool = False, after_ms: int | None = None
) -> int:
    """A time of the command line. UsageError."""
    try:
        return parse_when(words, zone, clock_ms, end=end, after_ms=after_ms)
    except BadTime as error:
        raise UsageError(str(error)) from error


def begin_ms(at: str | None) -> int:
    """Where the screen of the past begins; 0 = at the newest moment. UsageError."""
    return moment_of(at, local_zone(os.environ), now_ms()) if at else 0


@contextmanager
def footage() -> Iterator[Footage]:
    """The recording of the state directory. Failure."""
    try:
        found = Footage.open(state_dir(os.environ), load(os.environ).recording_mb * 1_000_000)
    except (StoreError, sqlite3.Error) as error:
        raise Failure(str(error)) from error
    try:
        yield found
    finally:
        found.close()


def _moment(at_ms: int, zone: tzinfo, as_json: bool) -> int:
    with footage() as film:
        scene = film.at(at_ms)
        coverage = film.coverage()
    if scene.snapshot is None:
        raise NothingMatched(f"{_clock(at_ms, zone)}: {scene.note}{_around(at_ms, coverage, zone)}")
    if as_json:
        document = snapshot.document(scene.snapshot)
        for row in document["rows"]:
            row["children"] = None  # not recorded
        document["replay"] = {
            "at": iso(at_ms), "frame_at": iso(scene.frame_ms), "note": scene.note or None,
            "damaged_frames": scene.damaged, "coverage": _coverage_document(coverage),
        }  # fmt: skip
        print_json(document)
    else:
        note = f"  ({scene.note})" if scene.note else ""
        print(f"as it was at {_clock(at_ms, zone)}, recorded at {_clock(scene.frame_ms, zone)}{note}")
        print(snapshot.as_text(scene.snapshot))
    return 0


def _around(at_ms: int, coverage: Coverage, zone: tzinfo) -> str:
    """Where there is something, for somebody who looked where there is nothing."""
    if not coverage.from_ms:
        return " yet: a running tokentop records every 10 s"
    if at_ms < coverage.from_ms and coverage.dropped_before_ms:
        return f"; what was before {_clock(coverage.from_ms, zone)} was dropped to stay within recording_mb"
    for from_ms, until_ms in coverage.gaps:
        if from_ms < at_ms < until_ms:
            return f"; recorded until {_clock(from_ms, zone)} and from {_clock(until_ms, zone)} on"
    return f"; recorded from {_clock(coverage.from_ms, zone)} to {_clock(coverage.until_ms, zone)}"


def _span(from_ms: int, until_ms: int, zone: tzinfo, as_json: bool) -> int:
    with access.opened(quiet=as_json) as store:
        spent = spans.spent(store.db, from_ms, until_ms)
        notes = list(store.notes)
    if as_json:
        print_json(
            {
                "schema": "tokentop.span/1", "generated_at": iso(now_ms()), "from": iso(from_ms),
                "until": iso(until_ms), "cost_usd": usd(spent.cost_nusd),
                "sessions": [_share_document(share, spent.cost_nusd) for share in spent.shares],
                "notes": notes,
            }
        )  # fmt: skip
    elif spent.shares:
        print(span_text(spent, zone))
    if not spent.shares:
        raise NothingMatched(f"nothing was spent from {_clock(from_ms, zone)} to {_clock(until_ms, zone)}")
    return 0


def span_text(spent: Spent, zone: tzinfo) -> str:
    """The sessions of a span by their part of it, and what is left out."""
    total = spent.cost_nusd
    shown, rest = spent.shares[:_SHOWN], spent.shares[_SHOWN:]
    head = (
        f"{_clock(spent.from_ms, zone)} to {_clock(spent.until_ms, zone)}"
        f" ({duration_long((spent.until_ms - spent.from_ms) / 1000)}): {money(total)} by"
        f" {len(spent.shares)} session{'s' * (len(spent.shares) != 1)}"
    )
    heads = ["AGENT", "PROJECT", "SESSION", "TITLE", "MODEL", "SHARE", "COST", "RESP", "TOKENS"]
    cells, names = room(), short_ids(share.session_id for share in shown)
    table = fitted_table(
        heads, [_share_line(share, names[share.session_id], total) for share in shown], 5, cells,
        least={"TITLE": 16, "MODEL": 10, "PROJECT": 8}, drop=("TOKENS", "RESP", "MODEL"),
    )  # fmt: skip
    lines = [*wrapped(head, cells, 2), "", table]
    if rest:
        cost = sum(share.cost_nusd for share in rest)
        lines.append(f"{len(rest)} more: {_percent(cost, total)}, {money(cost)}")
    unpriced = sum(share.unpriced_tokens for share in spent.shares)
    if unpriced:
        lines.append(f"{unpriced:,} tokens have no price and are in no share")
    unknown = sum(share.unknown_calls for share in spent.shares)
    if unknown:
        lines.append(f"{unknown:,} calls without usage in the log: their cost is not known")
    return "\n".join(lines)


def _share_line(share: Share, name: str, total: int) -> list[str]:
    return [
        share.agent, share.project[:16], name, share.title[:40], share.model[:24],
        _percent(share.cost_nusd, total), cost_text(share), f"{share.responses:,}", f"{share.tokens:,}",
    ]  # fmt: skip


def cost_text(share: Share) -> str:
    """Dollars; `≥` where a part has no price or is not known, `≈` where it is an estimate."""
    incomplete = share.unpriced_tokens or share.unknown_calls
    if not share.cost_nusd and incomplete:
        return "$?"
    return ("≥" if incomplete else "≈" if share.estimated else "") + money(share.cost_nusd)


def _percent(part: int, total: int) -> str:
    return f"{100 * part / total:.1f}%" if total else "–"


def _share_document(share: Share, total: int) -> dict[str, Any]:
    known = share.cost_nusd or not (share.unpriced_tokens or share.unknown_calls)
    return {
        "agent": share.agent, "session": share.session_id, "title": share.title or None,
        "project": share.project or None, "model": share.model or None,
        "share": round(share.cost_nusd / total, 6) if total and known else None,
        "cost_usd": usd(share.cost_nusd) if known else None, "responses": share.responses,
        "tokens": share.tokens, "unpriced_tokens": share.unpriced_tokens, "estimated": share.estimated,
        "unknown_calls": share.unknown_calls,
    }  # fmt: skip


def _overview(clock_ms: int, zone: tzinfo, as_json: bool) -> int:
    """What is recorded, what happened today, and where today's curve rose the steepest."""
    start_ms, end_ms, day = day_bounds(clock_ms, zone)
    with access.opened(quiet=as_json) as store:
        jumps = spans.jumps(store.db, start_ms, end_ms, _JUMPS)
    with footage() as film:
        coverage, marks = film.coverage(), film.marks(start_ms, end_ms)
    if as_json:
        print_json(
            {
                "schema": "tokentop.replay/1", "generated_at": iso(clock_ms), "day": day.isoformat(),
                "coverage": _coverage_document(coverage),
                "marks": [
                    {"at": iso(m.at_ms), "kind": m.kind, "row": m.row_key, "agent": m.agent or None, "text": m.text or None}
                    for m in marks
                ],
                "jumps": [
                    {"from": iso(j.from_ms), "until": iso(j.until_ms), "rise_usd": usd(j.rise_nusd), "cost_usd": usd(j.cost_nusd),
                     "parts": [{"agent": p.agent, "project": p.project or None, "cost_usd": usd(p.cost_nusd)} for p in j.parts]}
                    for j in jumps
                ],
            }
        )  # fmt: skip
        return 0
    lines = [*coverage_lines(coverage, zone), "", *_jump_lines(jumps, zone), *_mark_lines(marks, zone)]
    print("\n".join(part for line in lines for part in wrapped(line, room(), 12)))
    return 0


def coverage_lines(coverage: Coverage, zone: tzinfo) -> list[str]:
    """What is recorded, in words."""
    if not coverage.from_ms:
        return ["nothing is recorded yet: a running tokentop (the screen or watch) records every 10 s"]
    lines = [
        f"recorded    {_clock(coverage.from_ms, zone)} to {_clock(coverage.until_ms, zone)}:"
        f" {plural(coverage.frames, 'frame')}, {size_bytes(coverage.size_bytes)} of {size_bytes(coverage.limit_bytes)}"
    ]
    if coverage.thinned_frames:
        lines.append(f"thinned     one frame a minute before {_clock(coverage.thinned_before_ms, zone)}")
    if coverage.dropped_frames:
        lines.append(
            f"dropped     {coverage.dropped_frames:,} frames before {_clock(coverage.dropped_before_ms, zone)}"
            " (recording_mb)"
        )
    lines += [f"not running {_clock(a, zone)} to {_clock(b, zone)}" for a, b in coverage.gaps[-5:]]
    if len(coverage.gaps) > 5:
        lines.append(f"            and {len(coverage.gaps) - 5} gaps before")
    return lines


def _jump_lines(jumps: Sequence[Jump], zone: tzinfo) -> list[str]:
    if not jumps:
        return ["nothing was spent today yet"]
    lines = ["where today's bill rose the steepest"]
    for jump in jumps:
        who = ", ".join(
            f"{part.agent} {part.project[:24]} {money(part.cost_nusd)}".replace("  ", " ")
            for part in jump.parts[:_NAMED]
        )
        span = f"{_time(jump.from_ms, zone)} to {_time(jump.until_ms, zone)}"
        line = f"  {span}  +{money(jump.rise_nusd)} in a quarter hour, {money(jump.cost_nusd)} in all: {who}"
        lines += wrapped(line, room(), 18)
    return lines


def _mark_lines(marks: Sequence[Mark], zone: tzinfo) -> list[str]:
    told = [mark for mark in marks if mark.kind in {"alert", "action"}][-10:]
    if not told:
        return []
    lines = ["", "alerts and actions of today, the last ones"]
    return lines + [f"  {_time(mark.at_ms, zone)}  {mark.agent or '-':<8}  {mark.text}" for mark in told]


def _coverage_document(coverage: Coverage) -> dict[str, Any]:
    return {
        "from": iso(coverage.from_ms) if coverage.from_ms else None,
        "until": iso(coverage.until_ms) if coverage.until_ms else None,
        "frames": coverage.frames, "bytes": coverage.size_bytes, "limit_bytes": coverage.limit_bytes,
        "thinned_before": iso(coverage.thinned_before_ms) if coverage.thinned_frames else None,
        "thinned_frames": coverage.thinned_frames,
        "dropped_before": iso(coverage.dropped_before_ms) if coverage.dropped_frames else None,
        "dropped_frames": coverage.dropped_frames,
        "gaps": [{"from": iso(a), "until": iso(b)} for a, b in coverage.gaps],
    }  # fmt: skip


def _clock(at_ms: int, zone: tzinfo) -> str:
    return local(at_ms, zone).strftime("%Y-%m-%d %H:%M:%S")


def _time(at_ms: int, zone: tzinfo) -> str:
    return local(at_ms, zone).strftime("%H:%M")
