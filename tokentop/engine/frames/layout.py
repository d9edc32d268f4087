"""How a picture is laid out as vectors of whole numbers, and how it slides with the clock. Pure."""

from __future__ import annotations

from msgspec import Struct

from tokentop.engine.rates import COARSE_MS, SERIES_SAMPLES, SERIES_STEP_MS, SPARK_SAMPLES
from tokentop.nouns.sessions import State

Vector = tuple[int, ...]

FIGURES = 14
OWN_AT = 39
RATE = 11  # place within figures
PAST = SPARK_SAMPLES - 1
SPARK_AT = OWN_AT + 2 * FIGURES
LATEST_AT = SPARK_AT + PAST
_OTHER_AT = LATEST_AT + 1
NEW: Vector = (0,) * (_OTHER_AT + PAST)
TIMES = (16, 20, 21, 33)  # columns that are times: a new one is told from the picture's own time
KINDS = ("agent", "sub-agent", "tool", "orphan")
STATES = tuple(State)
NUMBERS = 3  # of a text that are told apart from it: they change, it does not
_OWN = 2  # numbers at the end of the head that are tokentop's own: no change of the table
LIMIT_TIMES = (4, 5, 6)
ALERT_TIMES = (2,)
KINDS_OF_RATE = 3  # output, writes, input of the last minute
HEAD = 2 * FIGURES + 17 + 4 + KINDS_OF_RATE
LIMIT, ALERT = 10, 4 + 2 * NUMBERS
_TEXTS = (0, 3, 6, 8, 9, 10, 11, 12, 14, 15, 23, 26, 27, 28, 29, 30, 31, 36, 38)


class DamagedFrame(ValueError):
    """The bytes are no frame, or of another picture."""


class Picture(Struct):
    """One moment of the live table as numbers; times are told from `epoch_ms`."""

    at_ms: int
    epoch_ms: int
    rows: list[Vector]
    head: Vector
    series: list[Vector]
    limits: list[Vector]
    alerts: list[Vector]
    rest: bytes  # problems, mode


def since(at_ms: int, epoch_ms: int) -> int:
    """A time as a small number: how long before the epoch, 0 = no time."""
    if not at_ms:
        return 0
    back = epoch_ms - at_ms
    return back + 1 if back >= 0 else back


def time_of(code: int, epoch_ms: int) -> int:
    """The time of such a number."""
    if not code:
        return 0
    return epoch_ms - (code - 1) if code > 0 else epoch_ms - code


def slid_sparks(sparks: Vector, steps: int) -> Vector:
    """A spark has minutes and moves by half of one: two rows of samples take turns."""
    if not steps or not any(sparks):
        return sparks
    past, latest, other = sparks[:PAST], sparks[PAST], sparks[PAST + 1 :]
    for _ in range(min(max(steps, 0), 2 * PAST + 2)):
        past, other = (*other[1:], 0), past
    return (*past, latest, *other)


def slid(picture: Picture, at_ms: int) -> Picture:
    """The picture at a later time if nothing happens: graphs and sparks move along, nothing else."""
    graphs, sparks = (at_ms // step - picture.at_ms // step for step in (SERIES_STEP_MS, COARSE_MS))
    if not graphs and not sparks:
        return picture
    by = min(max(graphs, 0), SERIES_SAMPLES)
    series = [(*graph[by:], *(0,) * by) if any(graph) else graph for graph in picture.series]
    rows = [
        (*row[:SPARK_AT], *slid_sparks(row[SPARK_AT:], sparks)) if any(row[SPARK_AT:]) else row
        for row in picture.rows
    ]
    return Picture(
        at_ms, picture.epoch_ms, rows, picture.head, series, picture.limits, picture.alerts, picture.rest
    )


def is_same(before: Picture, now: Picture) -> bool:
    """Whether nothing happened between two pictures but time, and what tokentop itself uses."""
    moved = slid(before, now.at_ms)
    return (
        moved.rows == now.rows
        and moved.head[:-_OWN] == now.head[:-_OWN]
        and moved.series == now.series
        and moved.limits == now.limits
        and moved.alerts == now.alerts
        and moved.rest == now.rest
    )


def texts_of(picture: Picture) -> frozenset[int]:
    """Numbers of the texts that a picture names."""
    found = {row[at] for row in picture.rows for at in _TEXTS}
    for row in picture.rows:
        found.update((max(0, row[7] - 1), row[35] >> 1))
    found.update(picture.head[2 * FIGURES + at] for at in (1, 6, 10))
    found.update(limit[at] for limit in picture.limits for at in (0, 1, 3, 8, 9))
    found.update(alert[at] for alert in picture.alerts for at in (0, 1, 3))
    return frozenset(found - {0})
