"""How good a projection of the generated users can be at best, of what the forecast is told: docs/forecast.md.

    python bench/forecast_bound.py                 # the users of the report, seeds 2001 to 2040
    python bench/forecast_bound.py --kind weekend

Somebody who has seen 700 days of the same weekday of the same user, without drift, looks for days on which as much was
spent by then and in the hour before, and says the median of how they went on. What is not in these figures (how often
an evening is begun, how long it lasts) is chance to him as well.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from pathlib import Path
from statistics import mean, median

sys.path[:0] = [str(Path(__file__).resolve().parent)]

import users  # noqa: E402

HOURS = (10, 14, 18)
KNOWN_DAYS, JUDGED_DAYS = 700, 8  # of each weekday
WIDTH_DONE, WIDTH_RECENT = 0.25, 0.5  # of the kernels, in logs
_SPAN = 30  # hours: work may run over midnight

Day = list[float]


def main() -> None:
    parser = argparse.ArgumentParser(description="the least error that the generated users allow")
    parser.add_argument("--seeds", default="2001-2040")
    parser.add_argument("--kind", choices=users.KINDS, action="append")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("-")
    print(f"{'users':<10}{'said':>7}{'error':>9}{'line':>9}{'share':>8}")
    for kind in arguments.kind or users.KINDS:
        points = [one for seed in range(int(first), int(last or first) + 1) for one in judged(kind, seed)]
        error, line = median(e for e, _ in points), median(n for _, n in points)
        print(f"{kind:<10}{len(points):>7}{error:>9.2f}{line:>9.2f}{error / line:>8.2f}", flush=True)


def judged(kind: str, seed: int) -> list[tuple[float, float]]:
    """(error, the straight line's error) in US dollars at each moment of some days of one user; idle days are out."""
    user = users.Traits(random.Random(f"{kind}:{seed}"))
    rng = random.Random(seed)
    points = []
    for weekday in range(7):
        known = [day_of(kind, rng, user, weekday) for _ in range(KNOWN_DAYS)]
        small = 0.03 * (mean(sum(day) for day in known) or 1.0)
        for _ in range(JUDGED_DAYS):
            day = day_of(kind, rng, user, weekday)
            total = sum(day)
            for hour in HOURS if total > 0 else ():
                done = sum(day[:hour])
                said = done + rest_of(known, done, day[hour - 1], hour, small)
                points.append((abs(said - total), abs(done * 24 / hour - total)))
    return points


def day_of(kind: str, rng: random.Random, user: users.Traits, weekday: int) -> Day:
    """The hours of one day in US dollars, with what ran over from the day before."""
    before, own = spent(kind, rng, user, (weekday - 1) % 7), spent(kind, rng, user, weekday)
    return [own[at] + (before[24 + at] if at < _SPAN - 24 else 0.0) for at in range(24)]


def spent(kind: str, rng: random.Random, user: users.Traits, weekday: int) -> Day:
    hours = [0.0] * _SPAN
    for start, length, rate in users.KINDS[kind](rng, user, weekday):
        at = max(0.0, start)
        while at < min(_SPAN, start + length):
            part = min(0.25, start + length - at)
            hours[int(at)] += rate * part * rng.lognormvariate(-0.18, 0.6)
            at += 0.25
    return hours


def rest_of(known: list[Day], done: float, recent: float, hour: int, small: float) -> float:
    """The weighted median of how the days like this one went on; before anything is spent, of the likelier case."""
    alike = []
    for day in known:
        past = sum(day[:hour])
        if (past > 0) == (done > 0):
            far = math.log((done + small) / (past + small)) / WIDTH_DONE
            apart = math.log((recent + small / 4) / (day[hour - 1] + small / 4)) / WIDTH_RECENT
            alike.append((sum(day[hour:]), math.exp(-0.5 * (far * far + apart * apart)) + 1e-9))
    if done <= 0:
        worked = [one for one in alike if one[0] > 0]
        if sum(weight for _, weight in worked) < 0.5 * sum(weight for _, weight in alike):
            return 0.0
        alike = worked
    half, below = sum(weight for _, weight in alike) / 2, 0.0
    for rest, weight in sorted(alike):
        below += weight
        if below >= half:
            return rest
    return 0.0


if __name__ == "__main__":
    main()
