"""Generated users for the backtest of the forecast: 60 days of spend, a seed each, nothing of it fitted.

A user is a rate of spend per quarter hour, made from blocks of work: each block has a start, a length and a
rate. Days differ by a log-normal factor, quarter hours by another, the whole drifts slowly, and some days are
off. `hours(kind, seed)` sums the quarter hours to the hours that a store gives.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
DAYS = 60
USD = 1_000_000_000
HOUR_MS = 3_600_000

Block = tuple[float, float, float]  # start in hours since midnight (may pass 24), length in hours, $/h


class Traits:
    """What stays the same for one user."""

    def __init__(self, rng: random.Random) -> None:
        self.rate = rng.lognormvariate(math.log(8), 0.7)  # $/h
        self.spread = rng.uniform(0.25, 0.5)  # of days
        self.drift = rng.gauss(0, 0.006)  # of the rate, in a day
        self.start = rng.gauss(9.0, 0.6)
        self.end = rng.gauss(17.8, 0.7)
        self.off = rng.uniform(0.02, 0.10)
        self.night = rng.uniform(20.5, 23.5)  # when the nightly batch begins
        self.evenings = [rng.betavariate(0.6, 0.6) for _ in range(7)]  # a habit of some weekdays


def _office(rng: random.Random, user: Traits, weekday: int) -> Iterator[Block]:
    if weekday >= 5:
        if rng.random() < 0.12:
            yield rng.uniform(10, 19), rng.uniform(0.5, 2.5), user.rate * 0.7
        return
    if rng.random() < user.off:
        return
    factor = rng.lognormvariate(0, user.spread)
    start, end = user.start + rng.gauss(0, 0.4), user.end + rng.gauss(0, 0.7)
    lunch = rng.gauss(12.3, 0.3)
    yield start, max(0.5, lunch - start), user.rate * factor * rng.lognormvariate(0, 0.2)
    yield lunch + rng.uniform(0.5, 1.0), max(0.5, end - lunch - 0.75), user.rate * factor
    if rng.random() < 0.2:
        yield rng.uniform(20, 22), rng.uniform(0.5, 2), user.rate * 0.6


def _night(rng: random.Random, user: Traits, weekday: int) -> Iterator[Block]:
    """A batch that begins late and runs over midnight on most nights; a little work by day."""
    if rng.random() < 0.85:
        yield (
            user.night + rng.gauss(0, 0.4),
            rng.uniform(4, 8),
            user.rate * rng.lognormvariate(0, user.spread),
        )
    if weekday < 5 and rng.random() < 0.9:
        yield rng.gauss(10.5, 1), rng.uniform(2, 5), user.rate * 0.3 * rng.lognormvariate(0, 0.4)


def _weekend(rng: random.Random, user: Traits, weekday: int) -> Iterator[Block]:
    """Long days on Saturday and Sunday, some evenings in between."""
    if weekday >= 5:
        if rng.random() < 0.92:
            factor = rng.lognormvariate(0, user.spread)
            at = rng.gauss(9.3, 0.8)
            for _ in range(rng.randint(2, 3)):
                length = rng.uniform(1.5, 4)
                yield at, length, user.rate * factor * rng.lognormvariate(0, 0.25)
                at += length + rng.uniform(0.5, 2)
    elif rng.random() < user.evenings[weekday]:
        yield rng.gauss(19.5, 0.7), rng.uniform(1, 3.5), user.rate * 0.8 * rng.lognormvariate(0, user.spread)


def _spiky(rng: random.Random, user: Traits, weekday: int) -> Iterator[Block]:
    """Fleets: bursts of very different size, mostly begun by a person in the day, some by a timer at any hour."""
    count = 1 if weekday >= 5 else 3
    for _ in range(count + (rng.random() < 0.5) - (rng.random() < 0.4)):
        at = rng.gauss(12.5, 3) if rng.random() < 0.8 else rng.uniform(0, 24)
        yield max(0.0, at), rng.lognormvariate(0.3, 0.6), user.rate * 3 * rng.lognormvariate(0, 0.8)


def _mixture(rng: random.Random, user: Traits, weekday: int) -> Iterator[Block]:
    """Office hours with a fleet now and then and a batch on some nights."""
    yield from _office(rng, user, weekday)
    if rng.random() < (0.4 if weekday < 5 else 0.1):
        yield rng.gauss(14, 2.5), rng.uniform(0.5, 3), user.rate * 2 * rng.lognormvariate(0, 0.6)
    if rng.random() < 0.35:
        yield user.night + rng.gauss(0, 0.4), rng.uniform(2, 6), user.rate * 0.8 * rng.lognormvariate(0, 0.4)


KINDS: dict[str, Callable[[random.Random, Traits, int], Iterator[Block]]] = {
    "office": _office,
    "night": _night,
    "weekend": _weekend,
    "spiky": _spiky,
    "mixture": _mixture,
}


def hours(kind: str, seed: int, days: int = DAYS) -> list[tuple[int, int]]:
    """Return `(hour_start_ms, cost_nusd)` of a user's hours with spend; the same for the same seed."""
    rng = random.Random(f"{kind}:{seed}")
    user = Traits(rng)
    first = date(2026, 1, 5) + timedelta(days=rng.randrange(280))
    found: dict[int, int] = {}
    for number in range(days):
        day = first + timedelta(days=number)
        midnight_ms = round(datetime(day.year, day.month, day.day, tzinfo=ZONE).timestamp() * 1000)
        last_ms = round(
            datetime.combine(first + timedelta(days=days), datetime.min.time(), ZONE).timestamp() * 1000
        )
        drift = math.exp(user.drift * number)
        for start, length, rate in KINDS[kind](rng, user, day.weekday()):
            at = max(0.0, start)
            while at < start + length:
                part = min(0.25, start + length - at)
                at_ms = midnight_ms + round(at * HOUR_MS)
                cost = rate * drift * part * rng.lognormvariate(-0.18, 0.6)
                if at_ms < last_ms:
                    slot = at_ms - at_ms % HOUR_MS
                    found[slot] = found.get(slot, 0) + round(cost * USD)
                at += 0.25
    return sorted(found.items())
