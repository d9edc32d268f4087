"""A snapshot as numbers. Pure."""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from tokentop.engine.rates import COARSE_MS, SERIES_SAMPLES, SPARK_SAMPLES
from tokentop.engine.snapshot import figure_notes
from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Alert, Row, Snapshot, Status
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures

from .layout import (
    FIGURES,
    KINDS,
    KINDS_OF_RATE,
    NUMBERS,
    PAST,
    SPARK_AT,
    STATES,
    Picture,
    Vector,
    since,
    slid_sparks,
)
from .texts import Texts, program

_PROC = re.compile(r"proc:([0-9]{1,10}):([0-9]{1,18})")
_DETAIL_CHARS = 80
_MAX_HEALTH = 50
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,4})?")
_KEEPS_DETAIL = frozenset({State.ERROR, State.LIMITED})


class Made(Struct):
    """What the last picture was made of, for the next one: rows that are the same object keep their vector."""

    rows: dict[str, tuple[Row, Vector]] = {}
    step: int = -1  # of the sparks


def picture_of(snapshot: Snapshot, texts: Texts, epoch_ms: int, made: Made) -> Picture:
    """The numbers of a snapshot. `made` is of the last one with the same epoch, and becomes that of this one."""
    step = snapshot.at_ms // COARSE_MS
    passed = step - made.step if made.step >= 0 else 0
    vectors, kept = [], {}
    for row in snapshot.rows:
        before = made.rows.get(row.key)
        if before is not None and before[0] is row and (not passed or not any(before[1][SPARK_AT:])):
            kept[row.key] = before
        else:
            sparks = before[1][SPARK_AT:] if before is not None else (0,) * (2 * PAST + 1)
            kept[row.key] = row, (*_vector(row, texts, epoch_ms), *_sparks(row, slid_sparks(sparks, passed)))
        vectors.append(kept[row.key][1])
    made.rows, made.step = kept, step
    series = snapshot.series
    graphs = (series.output_per_min, series.writes_per_min, series.input_per_min, series.reads_per_min,
              series.burn_nusd_per_h)  # fmt: skip
    return Picture(
        snapshot.at_ms, epoch_ms, vectors, _head(snapshot, texts),
        [tuple(map(round, graph)) or (0,) * SERIES_SAMPLES for graph in graphs],
        [_limit(quota, texts, epoch_ms) for quota in snapshot.quotas],
        [_alert(alert, texts, epoch_ms) for alert in snapshot.alerts], _rest(snapshot),
    )  # fmt: skip


def _sparks(row: Row, foreseen: Vector) -> Vector:
    """The spark; then, so that its next step can be foreseen, what it was half a minute ago."""
    if len(row.spark) != SPARK_SAMPLES:
        return (0,) * (2 * PAST + 1)
    latest = round(row.spark[-1]) - round(row.own.tokens_per_min)
    return (*map(round, row.spark[:-1]), latest, *foreseen[PAST + 1 :])


def _vector(row: Row, texts: Texts, epoch_ms: int) -> Vector:
    proc = _PROC.fullmatch(row.key)
    ids, status, command = texts.ids, row.status, program(row.command)
    log = row.kind in {"agent", "sub-agent"}
    head = (
        0 if proc else ids[row.key],
        int(proc[1]) if proc else 0,
        int(proc[2]) if proc else 0,
        ids[row.parent_key],
        row.depth,
        KINDS.index(row.kind),
        ids[row.agent],
        0 if row.key == f"{row.agent}:{row.session_id}" else ids[row.session_id] + 1,
        texts.titles[row.title] if log else ids[program(row.title)],
        ids[row.project],
        ids[row.cwd],
        ids[row.branch],
        ids[row.model],
        STATES.index(status.state),
        ids[detail_of(status)],
        ids[status.source],
        since(status.since_ms, epoch_ms),
        int(status.inferred),
        0 if row.context_used is None else row.context_used + 1,
        row.context_window,
        since(row.started_ms, epoch_ms),
        since(row.last_ms, epoch_ms),
        0 if row.pid is None else row.pid + 1,
        ids[row.confidence],
        as_drawn(row.cpu_pct),
        row.rss_bytes >> 10,
        ids[command],
        ids[row.where],
        ids[row.version],
        ids[row.surface],
        ids[row.log_path],
        ids[row.resume],
        row.sub_agents << 16 | row.working_below,
        since(row.unchanged_since_ms, epoch_ms),
        _spent(row),
        ids[row.unchanged_source] << 1 | row.unchanged_at_least,
        ids["\n".join(note for note in row.notes if note not in figure_notes(row.own))],
        row.same_calls << 16 | min(row.compactions, 0xFFFF),
        ids["\n".join((_first(row.same_call), _first(row.last_tool), row.host))],
    )
    own = _figures(row.own)
    tree = own if row.tree is row.own else _figures(row.tree)
    below = (0,) * FIGURES if tree == own else tuple(b - a for a, b in zip(own, tree, strict=True))
    return (*head, *own, *below)


def detail_of(status: Status) -> str:
    """What is behind the state: errors as they are, of all else the tool's name alone."""
    if status.state in _KEEPS_DETAIL:
        return status.detail[:_DETAIL_CHARS]
    return " ".join(status.detail.partition(":")[0].split()[:2])


def _spent(row: Row) -> int:
    """What is spent since the last change of a file, as what was spent before it: that stays the same."""
    return 0 if row.unchanged_nusd is None else row.tree.cost_nusd - row.unchanged_nusd + 1


def as_drawn(pct: float) -> int:
    """Tenths of a per cent, whole ones from 10 on: as they are shown."""
    return round(pct * 10) if pct < 9.95 else 10 * round(pct)


def _first(words: str) -> str:
    return words.split(" ", 1)[0]


def _figures(of: Figures) -> Vector:
    tokens = of.tokens
    return (
        tokens.input, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h, tokens.output,
        tokens.reasoning, of.responses, of.cost_nusd, of.unpriced_tokens, int(of.estimated), of.unknown_calls,
        round(of.tokens_per_min), round(of.reads_per_min), of.burn_nusd_per_h,
    )  # fmt: skip


def _head(snapshot: Snapshot, texts: Texts) -> Vector:
    forecast = snapshot.forecast
    bill: Vector = (0,) * 17
    if forecast is not None:
        month = forecast.month
        bill = (
            1, texts.ids[forecast.day], forecast.today_nusd, forecast.projected_nusd, forecast.low_nusd,
            forecast.high_nusd, texts.ids[forecast.method], forecast.days_of_history, forecast.low_half_nusd,
            forecast.high_half_nusd,
            *((0,) * 7 if month is None else (
                texts.ids[month.month], month.spent_nusd, month.projected_nusd, month.low_nusd, month.low_half_nusd,
                month.high_half_nusd, month.high_nusd)),
        )  # fmt: skip
    return (
        *_figures(snapshot.today), *_figures(snapshot.totals), *bill,
        forecast.month.end_ms if forecast is not None and forecast.month is not None else 0,
        *([round(per_min) + 1 for per_min in snapshot.series.minute] or (0,) * KINDS_OF_RATE),
        snapshot.history_events, round(snapshot.own_cpu_pct * 100), snapshot.own_rss_bytes >> 10,
    )  # fmt: skip


def _limit(quota: Quota, texts: Texts, epoch_ms: int) -> Vector:
    return (
        texts.ids[quota.provider], texts.ids[quota.account], quota.window_minutes, texts.ids[quota.limit_id],
        since(quota.resets_at_ms, epoch_ms), since(quota.at_ms, epoch_ms), since(quota.full_at_ms, epoch_ms),
        round(quota.used_pct * 100), texts.ids[quota.source], texts.ids[quota.plan],
    )  # fmt: skip


def _alert(alert: Alert, texts: Texts, epoch_ms: int) -> Vector:
    said = alert.text.partition(":")[0] if alert.kind == "permission" else alert.text
    found = _NUMBER.findall(said)[:NUMBERS]
    form = _NUMBER.sub("\0", said, count=NUMBERS)
    numbers = [0, 0] * NUMBERS
    for at, number in enumerate(found):
        whole, _, tail = number.partition(".")
        numbers[2 * at : 2 * at + 2] = [int(whole + tail), len(tail) * 16 + len(whole)]
    return (
        texts.ids[alert.kind], texts.ids[alert.row_key], since(alert.since_ms, epoch_ms), texts.ids[form], *numbers
    )  # fmt: skip


def _rest(snapshot: Snapshot) -> bytes:
    return msgspec.msgpack.encode((snapshot.health[:_MAX_HEALTH], snapshot.mode))
