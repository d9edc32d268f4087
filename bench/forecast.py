"""Backtest of the forecast on generated users: the figures of docs/forecast.md.

    python bench/forecast.py                    # the reported users: 40 of each kind, seeds 2001 to 2040
    python bench/forecast.py --seeds 3001-3020  # others

Seeds up to 1020 were seen while the method was made; never report on those.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import users  # noqa: E402

from tokentop.engine.backtest import HOURS, Point, backtest, judged  # noqa: E402

USD = 1_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description="backtest of the forecast on generated users")
    parser.add_argument("--seeds", default="2001-2040")
    parser.add_argument("--kind", choices=users.KINDS, action="append")
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    print(f"{users.DAYS} days each, seeds {seeds.start} to {seeds.stop - 1}; errors: median, US dollars\n")
    print(f"{'users':<10}{'at':>6}{'said':>7}{'error':>9}{'line':>9}{'share':>8}{'in 80 %':>9}{'in 50 %':>9}")
    everyone: list[Point] = []
    for kind in arguments.kind or users.KINDS:
        points = [p for seed in seeds for p in backtest(users.hours(kind, seed), users.ZONE).points]
        everyone += points
        for hour in HOURS:
            row(kind, f"{hour}:00", [p for p in points if p.hour == hour])
        row(kind, "all", points)
        row(kind, "begun", [p for p in points if p.done_nusd > 0])
    row("all", "all", everyone)
    row("all", "begun", [p for p in everyone if p.done_nusd > 0])


def row(kind: str, at: str, points: list[Point]) -> None:
    """One line of the table; `begun` = of those moments at which something had been spent."""
    score = judged(points)
    if score is None:
        return
    share = "-" if score.ratio is None else f"{score.ratio:.2f}"
    print(
        f"{kind:<10}{at:>6}{score.projections:>7}{score.median_error_nusd / USD:>9.2f}"
        f"{score.naive_median_error_nusd / USD:>9.2f}{share:>8}{score.coverage:>8.1%} {score.coverage_half:>8.1%}"
    )


if __name__ == "__main__":
    main()
