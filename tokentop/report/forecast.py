"""`tokentop forecast`: today's and the month's projected bill, and how well such projections have held."""

from __future__ import annotations

import os
from typing import Any

from tokentop.clock import now_ms
from tokentop.engine.backtest import HOURS, MIN_DAYS, Backtest, Held, Score, held
from tokentop.engine.backtest import backtest as replay
from tokentop.engine.days import day_bounds, group_days
from tokentop.engine.profile import HISTORY_DAYS
from tokentop.errors import NothingMatched
from tokentop.nouns.money import Forecast, MonthForecast
from tokentop.settings.load import load
from tokentop.settings.zone import local_zone
from tokentop.store import reader

from . import access
from .live import check_complete, one_snapshot
from .out import iso, money, plain_table, print_json, usd
from .snapshot import today_mark

DAY_MS = 86_400_000
_HOW = {
    "burn": "from the present burn rate; no history yet",
    "none": "nothing is burning and there is no history",
}
_FAN = {False: "█▓▒░│", True: "#=+-|"}  # spent, up to the low end, 50 %, 80 %, the projection
_BAR_CELLS = 60


def forecast(as_json: bool) -> int:
    """Print today's projection; it uses the present burn rate as well."""
    picture = one_snapshot()
    check_complete(picture)
    found = picture.forecast
    if found is None:
        raise NothingMatched("nothing to project: the store cannot be read; see: tokentop doctor")
    past = _held(found)
    if as_json:
        print_json(document(found, past, picture.today.unpriced_tokens))
        return 0
    _print_day(found, today_mark(picture))
    if past is not None:
        print(
            f"{past.projections} projections of the last {past.days} days: median error {money(past.median_error_nusd)},"
            f" the straight line's {money(past.naive_median_error_nusd)}; {past.coverage:.0%} inside the 80 % interval"
        )
    if picture.today.unpriced_tokens:
        print(f"{picture.today.unpriced_tokens:,} tokens of today have no price and are not in it")
    return 0


def _print_day(found: Forecast, mark: str) -> None:
    """Today and the month; where nothing can be projected yet, what is spent alone."""
    so_far, month = f"{found.day}: {mark}{money(found.today_nusd)} so far", found.month
    if found.method == "none":
        print(f"{so_far}; no projection yet: {_HOW['none']}")
        if month is not None:
            print(f"{month.month}: {money(month.spent_nusd)} so far")
        return
    how = _HOW.get(found.method) or f"from your own {found.days_of_history} past days"
    print(f"{so_far}, {money(found.projected_nusd)} projected ({how})")
    print(bar(found, ascii_only=load(os.environ).ascii))
    print(f"50 % interval {money(found.low_half_nusd)} to {money(found.high_half_nusd)}")
    print(f"80 % interval {money(found.low_nusd)} to {money(found.high_nusd)}")
    if month is not None:
        print(
            f"{month.month}: {money(month.spent_nusd)} so far, {money(month.projected_nusd)} projected,"
            f" 80 % interval {money(month.low_nusd)} to {money(month.high_nusd)}"
        )


def document(found: Forecast, past: Held | None, unpriced_tokens: int) -> dict[str, Any]:
    """`tokentop.forecast/1`; amounts are exact decimal strings in US dollars."""
    return {
        "schema": "tokentop.forecast/1", "generated_at": iso(found.at_ms), "day": found.day,
        "today_usd": usd(found.today_nusd), "projected_usd": usd(found.projected_nusd),
        "low_usd": usd(found.low_nusd), "high_usd": usd(found.high_nusd), "interval": 0.8,
        "intervals": [
            {"share": 0.5, "low_usd": usd(found.low_half_nusd), "high_usd": usd(found.high_half_nusd)},
            {"share": 0.8, "low_usd": usd(found.low_nusd), "high_usd": usd(found.high_nusd)},
        ],
        "method": found.method, "days_of_history": found.days_of_history,
        "curve": [{"at": iso(at_ms), "usd": usd(nusd)} for at_ms, nusd in found.curve],
        "month": None if found.month is None else _month(found.month),
        "held": None if past is None else {
            "projections": past.projections, "days": past.days, "median_error_usd": usd(past.median_error_nusd),
            "naive_median_error_usd": usd(past.naive_median_error_nusd), "coverage": past.coverage,
        },
        "unpriced_tokens": unpriced_tokens,
    }  # fmt: skip


def _month(month: MonthForecast) -> dict[str, Any]:
    return {
        "month": month.month, "spent_usd": usd(month.spent_nusd), "projected_usd": usd(month.projected_nusd),
        "intervals": [
            {"share": 0.5, "low_usd": usd(month.low_half_nusd), "high_usd": usd(month.high_half_nusd)},
            {"share": 0.8, "low_usd": usd(month.low_nusd), "high_usd": usd(month.high_nusd)},
        ],
        "ends_at": iso(month.end_ms),
    }  # fmt: skip


def bar(found: Forecast, *, ascii_only: bool, cells: int = _BAR_CELLS) -> str:
    """Spent so far, then the fan: 80 % interval, 50 % interval, and the projection as a mark."""
    top = max(found.high_nusd, 1)

    def place(nusd: int) -> int:
        return min(cells, max(0, round(nusd / top * cells)))

    spent, low, low_half, high_half = (
        place(n) for n in (found.today_nusd, found.low_nusd, found.low_half_nusd, found.high_half_nusd)
    )
    marks = _FAN[ascii_only]
    line = [marks[3]] * cells
    line[low_half:high_half] = marks[2] * max(0, high_half - low_half)
    line[spent:low] = marks[1] * max(0, low - spent)
    line[:spent] = marks[0] * spent
    line[min(cells - 1, place(found.projected_nusd))] = marks[4]
    return f"$0 {''.join(line)} {money(found.high_nusd)}"


def _held(found: Forecast) -> Held | None:
    """How the projections that were stored have held, on days that are over."""
    zone = local_zone(os.environ)
    start_ms, _, _ = day_bounds(found.at_ms, zone)
    since_ms = start_ms - HISTORY_DAYS * DAY_MS
    with access.opened(quiet=True) as store:
        stored = reader.projections_since(store.db, since_ms)
        hours = reader.cost_by_hour(store.db, since_ms, start_ms)
    totals = {day.day.isoformat(): day.total_nusd for day in group_days(hours, zone) if day.total_nusd > 0}
    return held(stored, totals, zone)


# ---------------------------------------------------------------- backtest


def backtest(as_json: bool) -> int:
    """Replay past days and compare with the naive straight line."""
    zone, at_ms = local_zone(os.environ), now_ms()
    start_ms, _, _ = day_bounds(at_ms, zone)
    with access.opened(quiet=as_json) as store:
        history = reader.cost_by_hour(store.db, start_ms - 3 * HISTORY_DAYS * DAY_MS, start_ms)
    days = len(group_days(history, zone))
    found = replay(history, zone, HOURS, min_days=min(MIN_DAYS, days // 3))
    if as_json:
        print_json(backtest_document(found, at_ms))
        return 0
    if found.total is None:
        raise NothingMatched("too little history for a backtest: at least six days with spend are needed")
    rows = [[f"{hour:02d}:00", *_cells(score)] for hour, score in found.by_hour]
    heads = ["AT", "DAYS", "MEDIAN ERROR", "STRAIGHT LINE", "SHARE", "IN 80 %", "IN 50 %"]
    print(plain_table(heads, [*rows, ["all", *_cells(found.total)]], left=1))
    print(f"\nover {found.days} days with spend, each projected with what was known by then")
    return 0


def _cells(score: Score) -> list[str]:
    share = "-" if score.ratio is None else f"{score.ratio:.2f}"
    return [
        str(score.projections), money(score.median_error_nusd), money(score.naive_median_error_nusd), share,
        f"{score.coverage:.0%}", f"{score.coverage_half:.0%}",
    ]  # fmt: skip


def backtest_document(found: Backtest, at_ms: int) -> dict[str, Any]:
    """`tokentop.backtest/1`; errors are null and `by_hour` is empty where there is too little history."""
    empty = dict.fromkeys(
        ("coverage", "coverage_half", "mean_error_usd", "naive_mean_error_usd", "median_error_usd",
         "naive_median_error_usd")
    )  # fmt: skip
    total = empty | {"projections": 0} if found.total is None else _score(found.total)
    return {
        "schema": "tokentop.backtest/1", "generated_at": iso(at_ms), "days": found.days, **total,
        "by_hour": [{"hour": hour, **_score(score)} for hour, score in found.by_hour],
    }  # fmt: skip


def _score(score: Score) -> dict[str, Any]:
    return {
        "projections": score.projections, "coverage": score.coverage, "coverage_half": score.coverage_half,
        "mean_error_usd": usd(score.mean_error_nusd), "naive_mean_error_usd": usd(score.naive_mean_error_nusd),
        "median_error_usd": usd(score.median_error_nusd), "naive_median_error_usd": usd(score.naive_median_error_nusd),
    }  # fmt: skip
