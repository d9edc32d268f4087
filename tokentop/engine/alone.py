"""Rows of sessions that stand alone, with nothing above and nothing below: most sessions of most people. Pure.

Such a row is made of its own track and process only, so that it can be kept while neither has changed and no
limit of time has been passed. What slides with the clock, its rates, is looked at each time.
"""

from __future__ import annotations

from msgspec import Struct, structs

from tokentop.engine.live import LiveState
from tokentop.engine.progress import BUSY
from tokentop.engine.rates import COARSE_MS, HOUR_MS, Rate
from tokentop.engine.status import PROMPT_AFTER_MS
from tokentop.engine.track import Track
from tokentop.engine.tree import TOOL_MS, Node, is_line
from tokentop.nouns.picture import Row, Status
from tokentop.nouns.sessions import Role, State

_FOREVER_MS = 1 << 62


class Frame(Struct):
    """A row as made, its tools, and what they were made of."""

    rows: tuple[Row, ...]
    made_of: tuple[object, ...]
    from_ms: int
    until_ms: int  # time alone changes nothing before then
    rate: Rate
    spark: tuple[float, ...]
    unpriced_model: str
    slid_ms: int  # when its rates were brought up to date


def parted(live: LiveState, at_ms: int) -> tuple[list[Track], list[Track]]:
    """(sessions that stand alone, the others): what may be a line now, by when it was first seen."""
    lone: list[Track] = []
    others: list[Track] = []
    nested = {proc.parent_session_id for proc in live.binding.loose.values()}
    nested.update(proc.parent_session_id for proc, _ in live.binding.gone.values())
    nested.update(track.nested_in for track in live.tracks.awake.values())
    kids = live.tracks.kids
    for track in sorted(live.tracks.awake.values(), key=lambda t: t.order):
        if not is_line(track, at_ms):
            del live.tracks.awake[track.key]
        elif (
            track.parent
            or track.nested_in
            or track.key in kids
            or track.session.role is Role.SUB_AGENT
            or track.session.id in nested
        ):
            others.append(track)
        else:
            lone.append(track)
    return lone, others


def node_of(track: Track) -> Node:
    """The whole tree of a session that stands alone."""
    proc = track.proc
    return Node(track.key, track.order, track, proc, proc, track.owns_proc, 0 if proc else track.ended_ms)


def made_of(live: LiveState, track: Track) -> tuple[object, ...]:
    """Everything but the time and the rates that a row is made of: compared by identity where it is the same."""
    proc = track.proc
    place, change = (
        (live.places.get(proc.tmux), live.changes.get(proc.cwd)) if proc is not None else (None, None)
    )
    return (
        track.version, place, change, live.host, proc, track.host, track.owns_proc, track.ended_ms, track.loaded,
        track.session, track.own, track.context,
    )  # fmt: skip


def kept(live: LiveState, track: Track, at_ms: int, rest_ms: int = 0) -> Frame | None:
    """The frame of the last picture, where the row is still the same; its rates are brought up to date.

    For `rest_ms` they stay as they were: of very many rows, not all need to move each second because their window does.
    """
    frame = live.frames.get(track.key)
    if frame is None or not frame.from_ms <= at_ms < frame.until_ms or frame.made_of != made_of(live, track):
        return None
    if 0 <= at_ms - frame.slid_ms < rest_ms:
        return frame
    frame.slid_ms = at_ms
    rate, spark = live.rates.of(track.key), live.rates.spark(track.key)
    if rate is not frame.rate or spark is not frame.spark:
        row = frame.rows[0]
        if rate != frame.rate:
            own = structs.replace(
                row.own,
                tokens_per_min=rate.tokens_per_min,
                reads_per_min=rate.reads_per_min,
                burn_nusd_per_h=rate.burn_nusd_per_h,
            )
            row = structs.replace(row, own=own, tree=own, spark=spark)
        else:
            row = structs.replace(row, spark=spark)
        frame.rows = (row, *frame.rows[1:])
        frame.rate, frame.spark = rate, spark
    return frame


def framed(live: LiveState, track: Track, rows: tuple[Row, ...], at_ms: int) -> Frame:
    """Remember the rows just made of a session."""
    row = rows[0]
    done = row.status.state is State.DONE
    return Frame(
        rows,
        made_of(live, track),
        at_ms,
        _until_ms(live, track, row, at_ms),
        live.rates.of(track.key),
        row.spark,
        "" if done else track.unpriced_model,
        at_ms - track.order % 3 * 1000,  # those that came together do not slide together
    )


def _until_ms(live: LiveState, track: Track, row: Row, at_ms: int) -> int:
    until_ms = min(_status_until_ms(track, row.status, at_ms), _unchanged_until_ms(live, track, row, at_ms))
    if row.compactions:
        return at_ms
    for proc in (track.proc, track.host):
        for child in proc.children if proc is not None else ():
            if at_ms <= child.started_ms + TOOL_MS:
                until_ms = min(until_ms, child.started_ms + TOOL_MS + 1)
    return until_ms


def _status_until_ms(track: Track, status: Status, at_ms: int) -> int:
    """When time alone may move the status, in the order in which `status.judge` looks."""
    proc, last = track.proc, track.last
    if proc is None or status.since_ms >= at_ms:
        return at_ms
    if proc.run_state in {"T", "t"} or status.state is State.LIMITED:
        return _FOREVER_MS
    if track.owns_proc and proc.state is not None:
        return _FOREVER_MS
    if last is None:
        return at_ms
    if last.state is not State.TOOL:
        return _FOREVER_MS
    quiet_ms = max(last.at_ms, track.record_ms) + PROMPT_AFTER_MS
    return quiet_ms + 1 if at_ms <= quiet_ms else _FOREVER_MS


def _unchanged_until_ms(live: LiveState, track: Track, row: Row, at_ms: int) -> int:
    """When the money spent without a change has to be summed again: after an hour its beginning moves."""
    if row.unchanged_since_ms:
        if at_ms - row.unchanged_since_ms <= HOUR_MS:
            return row.unchanged_since_ms + HOUR_MS + 1
        return (at_ms // COARSE_MS + 1) * COARSE_MS
    proc = track.proc
    if proc is None or row.status.state not in BUSY:
        return _FOREVER_MS
    folder = live.changes.get(proc.cwd)
    times = (
        track.edit_ms,
        track.resumed_ms,
        track.seen_ms,
        proc.started_ms,
        folder.changed_ms if folder else 0,
    )
    return at_ms if max(times) > at_ms else _FOREVER_MS  # a time in the future will come to pass
