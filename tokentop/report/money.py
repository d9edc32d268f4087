"""`tokentop forecast`: today's projected bill, and how well such projections would have held."""

from __future__ import annotations

import os

from tokentop.clock import now_ms
from tokentop.config import local_zone
from tokentop.engine.days import day_bounds
from tokentop.engine.forecast import HISTORY_DAYS
from tokentop.engine.forecast import backtest as replay
from tokentop.errors import NothingMatched
from tokentop.store import reader

from . import access
from .live import check_complete, one_snapshot
from .out import iso, money, plain_table, print_json, usd


def forecast(as_json: bool) -> int:
    """Print today's projection; it uses the present burn rate as well."""
    picture = one_snapshot()
    check_complete(picture)
    found = picture.forecast
    if found is None:
        raise NothingMatched("nothing to project: the store cannot be read; see: tokentop doctor")
    if as_json:
        print_json(
            {"schema": "tokentop.forecast/1", "generated_at": iso(found.at_ms), "day": found.day,
             "today_usd": usd(found.today_nusd), "projected_usd": usd(found.projected_nusd),
             "low_usd": usd(found.low_nusd), "high_usd": usd(found.high_nusd), "interval": 0.8,
             "method": found.method, "days_of_history": found.days_of_history,
             "unpriced_tokens": picture.today.unpriced_tokens}
        )  # fmt: skip
        return 0
    how = {
        "profile": f"from your own {found.days_of_history} past days", "burn": "from the present burn rate; no history yet",
        "none": "nothing is burning and there is no history",
    }[found.method]  # fmt: skip
    print(f"{found.day}: {money(found.today_nusd)} so far, {money(found.projected_nusd)} projected ({how})")
    print(f"80 % interval {money(found.low_nusd)} to {money(found.high_nusd)}")
    if picture.today.unpriced_tokens:
        print(f"{picture.today.unpriced_tokens:,} tokens of today have no price and are not in it")
    return 0


def backtest(as_json: bool) -> int:
    """Replay past days and compare with the naive straight line."""
    zone, at_ms = local_zone(os.environ), now_ms()
    start_ms, _, _ = day_bounds(at_ms, zone)
    with access.opened(quiet=as_json) as store:
        history = reader.cost_by_hour(store.db, start_ms - 3 * HISTORY_DAYS * 86_400_000, start_ms)
    found = replay(history, zone)
    if as_json:
        print_json(
            {"schema": "tokentop.backtest/1", "generated_at": iso(at_ms), "days": found.days,
             "projections": len(found.points), "coverage": found.coverage,
             "mean_error_usd": None if found.mae_nusd is None else usd(found.mae_nusd),
             "naive_mean_error_usd": None if found.naive_mae_nusd is None else usd(found.naive_mae_nusd),
             "by_hour": [{"hour": h, "projections": n, "mean_error_usd": usd(e), "naive_mean_error_usd": usd(b)}
                         for h, n, e, b in found.by_hour]}
        )  # fmt: skip
        return 0
    if found.mae_nusd is None or found.naive_mae_nusd is None:
        raise NothingMatched("too little history for a backtest: at least four days with spend are needed")
    rows = [[f"{h:02d}:00", str(n), money(e), money(b)] for h, n, e, b in found.by_hour]
    print(plain_table(["AT", "DAYS", "MEAN ERROR", "STRAIGHT LINE"], rows, left=1))
    inside = (
        f", {100 * found.coverage:.0f} % of days inside the 80 % interval"
        if found.coverage is not None
        else ""
    )
    print(f"\nover {found.days} days: {money(found.mae_nusd)} against {money(found.naive_mae_nusd)}{inside}")
    return 0
