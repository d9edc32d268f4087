#!/usr/bin/env python3
"""Compare the totals that a tool printed as JSON with a corpus's expected.json.

    tokentop usage --by day --json | check_totals.py CORPUS

Reads `tokentop.usage/1` and ccusage's report. Buckets are disjoint: input (never cached input), output
(reasoning is inside it), cache_read, cache_write, total; each UTC day is compared too, where there are rows
with a day (run the tool with TZ=UTC). Exit 0: every number is exact; 1: one is not, or the output has no
totals.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

NAMES = {
    "input": ("input", "inputTokens"),
    "output": ("output", "outputTokens"),
    "cache_read": ("cache_read", "cacheReadTokens"),
    "cache_write": ("cacheCreationTokens",),
}


def buckets(row: dict[str, Any]) -> dict[str, int]:
    """The disjoint buckets of one row, with their total. KeyError if one is missing."""
    found: dict[str, int] = {}
    for bucket, names in NAMES.items():
        if bucket == "cache_write" and "cache_write_5m" in row:
            found[bucket] = row["cache_write_5m"] + row["cache_write_1h"]
        else:
            found[bucket] = next(row[name] for name in names if name in row)
    return found | {"total": sum(found.values())}


def read(report: dict[str, Any]) -> tuple[dict[str, int], dict[str, int], int]:
    """(exact totals, {day: exact total}, estimated tokens) of a report.

    The corpus says what the logs record; what a tool estimates beyond that stands in rows marked so.
    """
    days: dict[str, int] = {}
    totals = buckets(report["totals"].get("tokens", report["totals"]))
    guessed = 0
    for row in report.get("rows") or report.get("daily") or []:
        day, found = row.get("day") or row.get("date") or row.get("period"), buckets(row.get("tokens", row))
        if row.get("estimated"):
            guessed += found["total"]
            totals = {name: value - found[name] for name, value in totals.items()}
        elif day:
            days[day[:10]] = days.get(day[:10], 0) + found["total"]
    return totals, days, guessed


def verdict(corpus: Path, text: str) -> tuple[bool, str]:
    """(exact, what to say) about a tool's output."""
    expected = json.loads((corpus / "expected.json").read_text())
    try:
        got, days, guessed = read(json.loads(text))
    except (ValueError, KeyError, StopIteration, TypeError) as error:
        return False, f"no totals in the output: {error!r}"
    want = expected["buckets"]
    wrong = [f"{k} {got[k]:,} ({got[k] - want[k]:+,})" for k in got if got[k] != want[k]]
    by_day = {day: sum(v.values()) for day, v in expected["by_day"].items()}
    bad = sorted(d for d in by_day.keys() | days.keys() if days and days.get(d) != by_day.get(d))
    if bad:
        wrong.append(f"{len(bad)} of {len(by_day)} days, first {bad[0]}")
    apart = f"; {guessed:,} estimated tokens apart" if guessed else ""
    if wrong:
        return False, "WRONG: " + ", ".join(wrong) + apart
    return True, "exact" + (f", {len(days)} days" if days else "") + apart


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    exact, say = verdict(parser.parse_args().corpus, sys.stdin.read())
    print(say)
    sys.exit(0 if exact else 1)


if __name__ == "__main__":
    main()
