"""The user's own profile: what past days did after this time of day. Pure.

Each past day is a possible rest of today. It weighs by how alike it is: how recent, the same weekday or kind of
day, as much spent by now, as much in the last hour. How much of that matters differs between users (an office
day that began strong ends strong; a nightly batch does not care), so several views are kept, and each counts by
how well it has done on the user's own past days.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date
from itertools import accumulate

from msgspec import Struct

from tokentop.engine.days import DAY_MS, HOUR_MS, Day

HISTORY_DAYS = 56
HALF_LIFE_DAYS = 36.0
_HOURS = 24
_OTHER_KIND = 0.12  # weight of a weekday for a weekend day and the other way round
_SMALL = 0.15  # of a usual day: differences below are noise
_MAX_PACE = 4.0
_SHARPNESS = 20.0  # how much a view that errs less outweighs the others
_FORGET = 0.97  # by day: what a view did long ago counts less


class View(Struct, frozen=True, gc=False):
    """One way to see which days are alike: `width_*` are those of kernels in log space, 0 = not looked at;
    `pace` = how much of today's lead over a past day goes on, `weekday` = weight of the same weekday."""

    width_done: float
    width_recent: float
    pace: float
    weekday: float = 1.6


# Views with the same weight of the weekday stand together: `all_views` keeps that order.
VIEWS = (
    View(0.0, 0.0, 0.0),
    View(0.0, 0.0, 0.5),
    View(0.0, 0.0, 1.0),
    View(0.6, 0.0, 0.5),
    View(0.0, 0.8, 0.0),
    View(0.0, 0.8, 0.5),
    View(0.6, 0.8, 0.5),
    View(0.0, 0.0, 0.0, 8.0),
    View(0.0, 0.8, 0.5, 8.0),
)


class Past(Struct, frozen=True, gc=False):
    """A past day cut at a time of day: nano-dollars before it, in the hour before it, and after it."""

    day: date
    done: float
    recent: float
    rest: float


class Shape:
    """A past day as cumulated spend at each full hour of its wall clock."""

    __slots__ = ("cumulated", "day", "total_nusd")

    def __init__(self, day: Day) -> None:
        self.day, self.total_nusd = day.day, day.total_nusd
        self.cumulated = tuple(day.until(hour * HOUR_MS) for hour in range(_HOURS + 1))

    def until(self, wall_ms: int) -> float:
        """Nano-dollars spent before that time of day."""
        hour, part = divmod(min(max(wall_ms, 0), DAY_MS), HOUR_MS)
        if hour >= _HOURS:
            return self.cumulated[_HOURS]
        before = self.cumulated[hour]
        return before + (self.cumulated[hour + 1] - before) * part / HOUR_MS

    def cut(self, wall_ms: int) -> Past:
        done = self.until(wall_ms)
        recent = done - self.until(wall_ms - HOUR_MS)
        return Past(self.day, done, recent, max(0.0, self.cumulated[_HOURS] - done))


class Now(Struct, frozen=True, gc=False):
    """Today so far."""

    day: date
    done: float
    recent: float


Samples = list[tuple[float, float]]  # (rest of today in nano-dollars, weight)


def all_views(now: Now, past: Sequence[Past], views: Sequence[View] = VIEWS) -> list[Samples]:
    """What each past day says about the rest of today, seen in each way. Weights of a view sum up to 1."""
    days = [one.day for one in past]
    kinds = {
        weekday: _likeness(now.day, days, weekday) for weekday in dict.fromkeys(v.weekday for v in views)
    }
    out = []
    for weekday, base in kinds.items():
        usual = sum(w * (one.done + one.rest) for w, one in zip(base, past, strict=True)) / sum(base)
        small = _SMALL * usual + 1.0
        done, recent = math.log(max(0.0, now.done) + small), math.log(max(0.0, now.recent) + small / 4)
        leads = [done - math.log(one.done + small) for one in past]
        aparts = [recent - math.log(one.recent + small / 4) for one in past]
        out += [_seen(view, past, base, leads, aparts) for view in views if view.weekday == weekday]
    return out


def _seen(
    view: View, past: Sequence[Past], base: Sequence[float], leads: Sequence[float], aparts: Sequence[float]
) -> Samples:
    """One view. `leads` and `aparts`: how far today is from each past day, in logs of what was spent."""
    weights = list(base)
    for width, distances in ((view.width_done, leads), (view.width_recent, aparts)):
        if width:
            weights = [
                w * (0.02 + math.exp(-0.5 * (far / width) ** 2))
                for w, far in zip(weights, distances, strict=True)
            ]
    whole = sum(weights)
    if not view.pace:
        return [(one.rest, w / whole) for one, w in zip(past, weights, strict=True)]
    top = math.log(_MAX_PACE)
    return [
        (one.rest * math.exp(min(top, max(-top, view.pace * lead))), w / whole)
        for one, lead, w in zip(past, leads, weights, strict=True)
    ]


def _likeness(today: date, others: Sequence[date], weekday: float) -> list[float]:
    named = today.weekday()
    by_name = [
        weekday if one == named else 1.0 if (one >= 5) == (named >= 5) else _OTHER_KIND for one in range(7)
    ]
    return [math.pow(0.5, (today - one).days / HALF_LIFE_DAYS) * by_name[one.weekday()] for one in others]


def quantiles(values: Samples, levels: Sequence[float]) -> list[float]:
    """Weighted quantiles at ascending levels, linear between the middles of the weights."""
    ordered = sorted(values)
    weights = [weight for _, weight in ordered]
    middles = [
        below + weight / 2 for below, weight in zip(accumulate(weights, initial=0.0), weights, strict=False)
    ]
    total = sum(weights)
    out: list[float] = []
    for level in levels:
        target = level * total
        at = bisect_left(middles, target)
        if at == 0 or at == len(ordered):
            out.append(ordered[min(at, len(ordered) - 1)][0])
            continue
        (before, _), (value, _) = ordered[at - 1 : at + 1]
        gap = middles[at] - middles[at - 1]
        share = (target - middles[at - 1]) / gap if gap > 0 else 1.0
        out.append(before + (value - before) * min(1.0, max(0.0, share)))
    return out


def middle_of(view: Samples, *, begun: bool) -> float:
    """The median of the likelier case: while nothing has been spent, either the day stays idle or it is worked.

    The median of both cases together would be a small sum that hardly any day ends with.
    """
    if not begun:
        worked = [(rest, weight) for rest, weight in view if rest > 0]
        if sum(weight for _, weight in worked) < 0.5 * sum(weight for _, weight in view):
            return 0.0
        view = worked
    return quantiles(view, (0.5,))[0]


class Trust:
    """How well each view has done on past days; days are told in order, older ones fade."""

    def __init__(self) -> None:
        self.errors = [0.0] * len(VIEWS)
        self.days = 0.0

    def learn(self, medians: Sequence[float], rest: float) -> None:
        self.errors = [e * _FORGET + abs(m - rest) for e, m in zip(self.errors, medians, strict=True)]
        self.days = self.days * _FORGET + 1

    def weights(self) -> list[float]:
        """The share of each view; equal while nothing is known."""
        best = min(self.errors)
        if best <= 0:
            return [1 / len(VIEWS)] * len(VIEWS)
        sure = _SHARPNESS * self.days / (self.days + 5)
        raw = [math.exp(-sure * (e / best - 1)) for e in self.errors]
        total = sum(raw)
        return [w / total for w in raw]


def blend(views: Sequence[Samples], trust: Sequence[float]) -> Samples:
    """All views as one distribution; what hardly weighs is left out."""
    return [
        (rest, weight * share)
        for one, share in zip(views, trust, strict=True)
        if share > 0.01
        for rest, weight in one
        if weight > 1e-4
    ]
