"""The bill of the local day and its projection to midnight, with 50 % and 80 % intervals. Pure.

With history the rest of the day is the user's own (`profile.py`), and the intervals are as wide as the user's
own past errors ask for (`intervals.py`). Without history the present burn rate fades out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, tzinfo
from itertools import pairwise

from tokentop.engine.days import HOUR_MS, Day, History, day_bounds, group_days, midnight_ms, wall_ms
from tokentop.engine.intervals import (
    MIN_DAYS,
    UNTAUGHT,
    Hindsight,
    ends,
    known,
    look_back,
    raw,
)
from tokentop.engine.month import Ahead, days_ahead, look_ahead, project_month
from tokentop.engine.profile import HISTORY_DAYS, Now, Past, Shape, all_views, middle_of
from tokentop.nouns.money import Forecast, MonthForecast

__all__ = ["HISTORY_DAYS", "Forecaster", "forecast", "project"]

FADE_H = 1.5  # without history, burning stops after about so long
SLOT_MS = HOUR_MS // 4  # what past errors teach is worked out anew for each quarter of an hour
_Rest = tuple[float, float, float, float, float]  # median, 10 %, 25 %, 75 %, 90 % of the rest of the day


class Forecaster:
    """The past days of one user, prepared once; `project()` is then cheap enough for every few seconds."""

    def __init__(self, days: Iterable[Day], zone: tzinfo) -> None:
        self._shapes = [Shape(day) for day in days]
        self._zone = zone
        self._taught: tuple[tuple[date, int], Hindsight] | None = None
        self._ahead: tuple[date, Ahead] | None = None
        self._later: tuple[date, tuple[tuple[int, int], ...]] | None = None

    def month(self, today: Forecast, spent_nusd: int) -> MonthForecast:
        """Project the local month. `spent_nusd` is the spend since its first midnight, today included."""
        _, _, day = day_bounds(today.at_ms, self._zone)
        if self._ahead is None or self._ahead[0] != day:
            self._ahead = day, look_ahead(day, [(s.day, s.total_nusd) for s in self._shapes])
        return project_month(self._zone, spent_nusd, today, self._ahead[1])

    def project(
        self, at_ms: int, today_nusd: int, burn_nusd_per_h: int, hour_nusd: int | None = None
    ) -> Forecast:
        """Project today's bill. `today_nusd` is the spend since local midnight, `hour_nusd` that of the last
        hour where it is known beside the present burn rate.

        Always today <= low <= low_half <= projected <= high_half <= high.
        """
        _, end_ms, today = day_bounds(at_ms, self._zone)
        left_h = (end_ms - at_ms) / HOUR_MS
        burn = max(0, burn_nusd_per_h)
        recent = burn if hour_nusd is None else (max(0, hour_nusd) + burn) / 2
        wall = wall_ms(at_ms, self._zone)
        shapes = [s for s in self._shapes if 0 < (today - s.day).days <= HISTORY_DAYS]
        now = Now(today, max(0.0, float(today_nusd)), recent)
        past = known(now, [shape.cut(wall) for shape in shapes])
        shares = [(at_ms, 0.0), (end_ms, 1.0)]
        base = max(0, today_nusd)
        if past:
            rests, weights = self._by_profile(now, past, wall, burn, left_h)
            method = "profile"
            shares = self._curve(at_ms, end_ms, weights)
        else:
            rests = _by_burn(at_ms, self._zone, today_nusd, burn, left_h)
            method = "burn" if burn else "none"
        middle, low, low_half, high_half, high = rests
        projected = base + round(middle)
        low_half_nusd = min(projected, base + math.floor(low_half))
        high_half_nusd = max(projected, base + math.ceil(high_half))
        return Forecast(
            at_ms=at_ms,
            day=today.isoformat(),
            today_nusd=today_nusd,
            projected_nusd=projected,
            low_nusd=min(low_half_nusd, max(base, base + math.floor(low))),
            high_nusd=max(high_half_nusd, base + math.ceil(high)),
            method=method,
            days_of_history=len(past),
            low_half_nusd=low_half_nusd,
            high_half_nusd=high_half_nusd,
            curve=tuple((at, base + round(share * (projected - base))) for at, share in shares),
        )

    def curve(self, today: Forecast, end_ms: int) -> tuple[tuple[int, int], ...]:
        """The projection `(at_ms, nano-dollars from local midnight of today)` on to `end_ms`, days to come included."""
        curve = [point for point in today.curve if point[0] < end_ms]
        if end_ms <= today.curve[-1][0]:
            return today.curve
        at_ms, base = today.curve[-1]
        curve.append((at_ms, base))
        _, _, day = day_bounds(today.at_ms, self._zone)
        for ms, nusd in self._to_come(day):
            if ms > end_ms:
                break
            curve.append((ms, base + nusd))
        return (*curve, (end_ms, curve[-1][1])) if curve[-1][0] < end_ms else tuple(curve)

    def _to_come(self, today: date) -> tuple[tuple[int, int], ...]:
        """What days to come are expected to cost, summed up hour by hour; made once a day."""
        if self._later is None or self._later[0] != today:
            totals = [(s.day, s.total_nusd) for s in self._shapes]
            usual = {s.day: s.cumulated for s in self._shapes if 0 < (today - s.day).days <= HISTORY_DAYS}
            self._later = today, days_ahead(today, totals, usual, self._zone)
        return self._later[1]

    def _by_profile(
        self, now: Now, past: Sequence[Past], wall: int, burn: int, left_h: float
    ) -> tuple[_Rest, dict[date, float]]:
        """The rest of the day, and how much each past day weighs in it."""
        views = all_views(now, past)
        hindsight = self._hindsight(now.day, wall) if len(past) >= MIN_DAYS else UNTAUGHT
        weights = {
            one.day: sum(share * view[at][1] for share, view in zip(hindsight.trust, views, strict=True))
            for at, one in enumerate(past)
        }
        middles = [middle_of(view, begun=now.done > 0) for view in views]
        said = raw(views, middles, past, hindsight.trust)
        if len(past) >= MIN_DAYS:
            return (said.middle, *ends(said, hindsight, begun=now.done > 0)), weights
        fade = burn * FADE_H * (1 - math.exp(-left_h / FADE_H))
        high = max(3.0 * said.middle, said.high, 2.0 * fade)
        return (said.middle, 0.2 * said.middle, 0.6 * said.middle, (said.middle + high) / 2, high), weights

    def _hindsight(self, today: date, wall: int) -> Hindsight:
        """What past errors at about this time of day teach; kept for a quarter of an hour."""
        key = (today, wall // SLOT_MS)
        if self._taught is None or self._taught[0] != key:
            cut_ms = wall - wall % SLOT_MS
            self._taught = key, look_back([s.cut(cut_ms) for s in self._shapes if s.day < today])
        return self._taught[1]

    def _curve(self, at_ms: int, end_ms: int, weights: dict[date, float]) -> list[tuple[int, float]]:
        """(time, share of the rest of the day spent by then) at each full hour to midnight."""
        wall = wall_ms(at_ms, self._zone)
        rests = [(s, weights[s.day], s.until(wall)) for s in self._shapes if s.day in weights]
        whole = sum(weight * max(0.0, s.total_nusd - done) for s, weight, done in rests)
        out = [(at_ms, 0.0)]
        first = at_ms - at_ms % HOUR_MS + HOUR_MS
        for at in range(first, end_ms if whole > 0 else first, HOUR_MS):
            clock = wall_ms(at, self._zone)
            spent = sum(weight * (s.until(clock) - done) for s, weight, done in rests)
            out.append((at, min(1.0, max(out[-1][1], spent / whole))))
        return [*out, (end_ms, 1.0)]


def project(
    at_ms: int, zone: tzinfo, today_nusd: int, burn_nusd_per_h: int, days: Iterable[Day] = ()
) -> Forecast:
    """Project today's bill once; `days` come from `group_days`."""
    return Forecaster(days, zone).project(at_ms, today_nusd, burn_nusd_per_h)


def forecast(
    at_ms: int, zone: tzinfo, today_nusd: int, burn_nusd_per_h: int, history: History = ()
) -> Forecast:
    """Project today's bill from hourly history: `project()` for callers without grouped days."""
    return project(at_ms, zone, today_nusd, burn_nusd_per_h, group_days(history, zone))


def reached_at(curve: Sequence[tuple[int, int]], amount_nusd: int) -> int | None:
    """Return when a projected curve `(at_ms, nano-dollars)` reaches an amount; None = not by its end."""
    for (at_ms, before), (next_ms, after) in pairwise(curve):
        if before >= amount_nusd:
            return at_ms
        if after >= amount_nusd:
            return at_ms + math.ceil((next_ms - at_ms) * (amount_nusd - before) / (after - before))
    return None


def _by_burn(at_ms: int, zone: tzinfo, today_nusd: int, burn: int, left_h: float) -> _Rest:
    """No history: the high end goes on as now, or at the day's pace, to midnight."""
    start_ms = midnight_ms(day_bounds(at_ms, zone)[2], zone)
    elapsed_h = max(1.0, (at_ms - start_ms) / HOUR_MS)
    middle = burn * FADE_H * (1 - math.exp(-left_h / FADE_H))
    low, high = burn * min(left_h, 0.1), max(burn, max(0, today_nusd) / elapsed_h) * left_h
    return middle, low, (low + middle) / 2, (middle + high) / 2, high
