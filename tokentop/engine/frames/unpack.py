"""Numbers as a snapshot. Pure."""

from __future__ import annotations

import msgspec

from tokentop.engine.rates import SERIES_STEP_MS
from tokentop.engine.snapshot import figure_notes
from tokentop.nouns.facts import Diagnostic
from tokentop.nouns.money import Forecast, MonthForecast, Quota
from tokentop.nouns.picture import Alert, Row, Series, Snapshot, Status
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures, Tokens

from .layout import (
    FIGURES,
    KINDS,
    KINDS_OF_RATE,
    LATEST_AT,
    OWN_AT,
    RATE,
    SPARK_AT,
    STATES,
    DamagedFrame,
    Picture,
    Vector,
    slid,
    time_of,
)
from .texts import Texts

_Rest = tuple[tuple[Diagnostic, ...], str]


def snapshot_of(picture: Picture, texts: Texts, at_ms: int) -> Snapshot:
    """The snapshot of a picture that still held at `at_ms`. Raises DamagedFrame."""
    moved = slid(picture, at_ms)
    try:
        rows = tuple(_row(vector, texts, picture.epoch_ms) for vector in moved.rows)
        quotas = tuple(_to_limit(vector, texts, picture.epoch_ms) for vector in moved.limits)
        alerts = tuple(_to_alert(vector, texts, picture.epoch_ms) for vector in moved.alerts)
        health, mode = msgspec.msgpack.decode(moved.rest, type=_Rest)
    except (msgspec.MsgspecError, IndexError, ValueError, TypeError) as error:
        raise DamagedFrame(type(error).__name__) from error
    head = moved.head
    graphs = [tuple(map(float, graph)) for graph in moved.series]
    minute = tuple(float(code - 1) for code in head[-3 - KINDS_OF_RATE : -3] if code)
    counts: dict[State, int] = {}
    for row in rows:
        if row.kind in {"agent", "orphan"}:
            counts[row.status.state] = counts.get(row.status.state, 0) + 1
    return Snapshot(
        revision=at_ms,
        at_ms=at_ms,
        rows=rows,
        counts=tuple((state, counts[state]) for state in State if state in counts),
        today=_to_figures(head[:FIGURES]),
        totals=_to_figures(head[FIGURES : 2 * FIGURES]),
        series=Series(SERIES_STEP_MS // 1000, *(*graphs, minute)),
        forecast=_forecast(head[2 * FIGURES :], texts, at_ms),
        quotas=quotas,
        alerts=alerts,
        health=health,
        mode=mode,
        history_events=head[-3],
        own_cpu_pct=head[-2] / 100,
        own_rss_bytes=head[-1] << 10,
    )


def _row(v: Vector, texts: Texts, epoch_ms: int) -> Row:
    text = texts.text
    agent = text(v[6])
    key = text(v[0]) if v[0] else f"proc:{v[1]}:{v[2]}"
    tree_at = OWN_AT + FIGURES
    own = _to_figures(v[OWN_AT:tree_at])
    below = v[tree_at:SPARK_AT]
    tree = (
        _to_figures(tuple(a + b for a, b in zip(v[OWN_AT:tree_at], below, strict=True)))
        if any(below)
        else own
    )
    notes = text(v[36]).split("\n") if v[36] else []
    same_call, last_tool, host = text(v[38]).split("\n") if v[38] else ("", "", "")
    command = text(v[26])
    return Row(
        key=key,
        parent_key=text(v[3]),
        depth=v[4],
        kind=KINDS[v[5]],
        agent=agent,
        session_id=text(v[7] - 1) if v[7] else key.removeprefix(f"{agent}:"),
        title=text(v[8]),
        project=text(v[9]),
        cwd=text(v[10]),
        branch=text(v[11]),
        model=text(v[12]),
        status=Status(STATES[v[13]], text(v[14]), text(v[15]), time_of(v[16], epoch_ms), bool(v[17])),
        own=own,
        tree=tree,
        spark=(*map(float, v[SPARK_AT:LATEST_AT]), float(v[LATEST_AT] + v[OWN_AT + RATE])),
        context_used=v[18] - 1 if v[18] else None,
        context_window=v[19],
        started_ms=time_of(v[20], epoch_ms),
        last_ms=time_of(v[21], epoch_ms),
        pid=v[22] - 1 if v[22] else None,
        confidence=text(v[23]),
        cpu_pct=v[24] / 10,
        rss_bytes=v[25] << 10,
        command=command,
        where=text(v[27]),
        version=text(v[28]),
        surface=text(v[29]),
        log_path=text(v[30]),
        resume=text(v[31]),
        sub_agents=v[32] >> 16,
        working_below=v[32] & 0xFFFF,
        unchanged_since_ms=time_of(v[33], epoch_ms),
        unchanged_nusd=tree.cost_nusd - (v[34] - 1) if v[34] else None,
        unchanged_at_least=bool(v[35] & 1),
        unchanged_source=text(v[35] >> 1),
        notes=(*figure_notes(own), *notes),
        same_calls=v[37] >> 16,
        same_call=same_call,
        compactions=v[37] & 0xFFFF,
        last_tool=last_tool,
        host=host,
    )


def _to_limit(v: Vector, texts: Texts, epoch_ms: int) -> Quota:
    resets, at, full = (time_of(code, epoch_ms) for code in v[4:7])
    return Quota(
        texts.text(v[0]), texts.text(v[1]), v[2], texts.text(v[3]), v[7] / 100, resets, texts.text(v[8]), at,
        texts.text(v[9]), full,
    )  # fmt: skip


def _to_alert(v: Vector, texts: Texts, epoch_ms: int) -> Alert:
    said = texts.text(v[3])
    for number, size in zip(v[4::2], v[5::2], strict=True):
        tail = size >> 4
        digits = str(number).rjust(tail + (size & 15), "0")
        shown = f"{digits[:-tail]}.{digits[-tail:]}" if tail else digits
        said = said.replace("\0", shown, 1)
    return Alert(texts.text(v[0]), texts.text(v[1]), said, time_of(v[2], epoch_ms))


def _to_figures(v: Vector) -> Figures:
    return Figures(Tokens(*v[:6]), v[6], v[7], v[8], bool(v[9]), v[10], float(v[11]), float(v[12]), v[13])


def _forecast(v: Vector, texts: Texts, at_ms: int) -> Forecast | None:
    if not v[0]:
        return None
    month = (
        MonthForecast(texts.text(v[10]), v[11], v[12], v[13], v[14], v[15], v[16], v[17]) if v[10] else None
    )
    return Forecast(
        at_ms, texts.text(v[1]), v[2], v[3], v[4], v[5], texts.text(v[6]), v[7], v[8], v[9], month=month
    )
