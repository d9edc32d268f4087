"""Intervals that are calibrated on the user's own past errors. Pure.

For each past day the projection is made with the days before it alone, at the same time of day, and scored:
where in its raw interval did the rest of that day fall? The quantiles of these scores say how much the raw
interval of today must be widened or narrowed, on each side by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date

from msgspec import Struct

from tokentop.engine.profile import (
    HISTORY_DAYS,
    Now,
    Past,
    Samples,
    Trust,
    all_views,
    blend,
    middle_of,
    quantiles,
)

MIN_DAYS = 5  # before there are so many days behind it, a projection says nothing about the next one
RAW_LOW, RAW_HIGH = 0.1, 0.9
LEVELS = (0.1, 0.25, 0.75, 0.9)
_FLOOR = 0.02  # of a usual day: the least width of a raw interval
_FORGET = 0.985  # by day
_UNLIKE = 0.3
# Scores that are taken for granted before there are own ones: those of errors of the normal shape.
_PRIOR = (-1.28, -0.81, -0.53, -0.3, -0.1, 0.1, 0.3, 0.53, 0.81, 1.28)
_PRIOR_WEIGHT = 0.6


class Raw(Struct, frozen=True, gc=False):
    """The rest of a day as the blend of views says it, in nano-dollars: 10 %, median, 90 %."""

    low: float
    middle: float
    high: float
    floor: float

    def score(self, rest: float) -> float:
        """Where a rest falls: 0 = the median, 1 = the high end, -1 = the low end."""
        if rest >= self.middle:
            return (rest - self.middle) / (self.high - self.middle + self.floor)
        return (rest - self.middle) / (self.middle - self.low + self.floor)

    def at(self, score: float) -> float:
        """The rest with that score."""
        side = self.high - self.middle if score >= 0 else self.middle - self.low
        return max(0.0, self.middle + score * (side + self.floor))


class Hindsight(Struct, frozen=True):
    """What past days taught for one time of day: the share of each view, and of each day its score, oldest
    first, with whether something had been spent by then."""

    trust: tuple[float, ...]
    scores: tuple[tuple[float, bool], ...]


UNTAUGHT = Hindsight(tuple(Trust().weights()), ())


class Step(Struct, frozen=True):
    """One replayed day: what was known then, and how the day went on."""

    index: int
    now: Now
    raw: Raw
    hindsight: Hindsight


def raw(
    views: Sequence[Samples], middles: Sequence[float], past: Sequence[Past], trust: Sequence[float]
) -> Raw:  # fmt: skip
    """The raw distribution of the rest of a day; `views`, with their `middles`, and `past` must not be empty."""
    low, high = quantiles(blend(views, trust), (RAW_LOW, RAW_HIGH))
    middle = sum(share * one for share, one in zip(trust, middles, strict=True))
    usual = sum(one.done + one.rest for one in past) / len(past)
    return Raw(min(low, middle), middle, max(high, middle), _FLOOR * usual + 1.0)


def replay(past: Sequence[Past]) -> Iterator[Step]:
    """Replay past days of one time of day, oldest first, each with what was known before it alone.

    Days without spend, and the first ones, which nothing is known of, are passed over.
    """
    trust, scores = Trust(), list[tuple[float, bool]]()
    for index, one in enumerate(past):
        if one.done + one.rest <= 0:
            continue
        now = Now(one.day, one.done, one.recent)
        before = known(now, past[:index])
        if len(before) < MIN_DAYS:
            continue
        views = all_views(now, before)
        middles = [middle_of(view, begun=one.done > 0) for view in views]
        said = raw(views, middles, before, trust.weights())
        yield Step(index, now, said, _taught(trust, scores))
        scores.append((said.score(one.rest), one.done > 0))
        trust.learn(middles, one.rest)
    yield Step(len(past), Now(date.max, 0, 0), _NOTHING, _taught(trust, scores))


_NOTHING = Raw(0.0, 0.0, 0.0, 1.0)


def _taught(trust: Trust, scores: Sequence[tuple[float, bool]]) -> Hindsight:
    return Hindsight(tuple(trust.weights()), tuple(scores))


def look_back(past: Sequence[Past]) -> Hindsight:
    """What all of `past`, days cut at one time of day, teaches for the day after them."""
    *_, last = replay(past)
    return last.hindsight


def known(now: Now, past: Sequence[Past]) -> list[Past]:
    """The days to learn from: today is a day with work once something was spent, so idle ones say nothing."""
    past = past[-HISTORY_DAYS:]
    if now.done <= 0:
        return list(past)
    return [one for one in past if one.done + one.rest > 0]


def ends(said: Raw, hindsight: Hindsight, *, begun: bool) -> tuple[float, float, float, float]:
    """The rest of the day at LEVELS (10, 25, 75, 90 %), as the user's own errors ask for.

    Days that had begun by then err otherwise than those that had not: the likes of today (`begun`) count more.
    """
    values = [(score, _PRIOR_WEIGHT) for score in _PRIOR]
    for age, (score, like) in enumerate(reversed(hindsight.scores)):
        values.append((score, math.pow(_FORGET, age) * (1.0 if like == begun else _UNLIKE)))
    low, low_half, high_half, high = (said.at(score) for score in quantiles(values, LEVELS))
    return low, min(low_half, said.middle), max(high_half, said.middle), high
