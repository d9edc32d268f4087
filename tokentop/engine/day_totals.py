"""The lines of a reconciliation, taken together by UTC day and provider. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from tokentop.engine.reconcile import Line, Verdict
from tokentop.engine.residual import Part

# The one that asks most for a look stands for the day.
_WORST = (Verdict.OVER, Verdict.PRICE, Verdict.UNCOVERED, Verdict.PENDING, Verdict.MATCH, Verdict.NONE)


class DayTotal(Struct, frozen=True):
    """One UTC day of one provider. `None` = the provider does not say. `coverage` = ours / theirs in tokens.

    `apart_nusd` is what we hold of models that the provider billed nothing of: nothing to compare, a plan may have
    paid. It is in no other figure. `parts` add up to the difference, the largest first.
    """

    provider: str
    day_utc: str
    verdict: Verdict
    reason: str
    final: bool
    ours_nusd: int
    list_nusd: int | None
    difference_nusd: int | None
    coverage: float | None
    parts: tuple[Part, ...]
    odd: tuple[Line, ...] = ()  # those that neither match nor have nothing to compare
    apart_nusd: int = 0
    unpriced_tokens: int = 0


def by_day(lines: Iterable[Line]) -> tuple[DayTotal, ...]:
    """Take the lines of each day and provider together, the newest day first."""
    days: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        days.setdefault((line.day_utc, line.provider), []).append(line)
    newest = sorted(days, key=lambda key: key[1])
    newest.sort(key=lambda key: key[0], reverse=True)
    return tuple(_total(days[key]) for key in newest)


def _total(lines: list[Line]) -> DayTotal:
    told = [line for line in lines if line.list_nusd is not None]
    counted = [line for line in lines if line.theirs is not None]
    theirs = sum(line.theirs.total for line in counted if line.theirs is not None)
    pieces: dict[str, int] = {}
    for line in told:
        for part in line.parts if line.difference_nusd else ():
            pieces[part.name] = pieces.get(part.name, 0) + part.nusd
    worst = min(lines, key=lambda line: (_WORST.index(line.verdict), -abs(line.difference_nusd or 0)))
    return DayTotal(
        worst.provider, worst.day_utc, worst.verdict, worst.reason, all(line.final for line in lines),
        sum(line.ours_nusd for line in told), sum(line.list_nusd or 0 for line in told) if told else None,
        sum(line.difference_nusd or 0 for line in told) if told else None,
        sum(line.ours.total for line in counted) / theirs if theirs else None,
        tuple(Part(name, nusd) for name, nusd in sorted(pieces.items(), key=lambda one: -abs(one[1])) if nusd),
        tuple(line for line in lines if line.verdict not in (Verdict.MATCH, Verdict.NONE)),
        sum(line.ours_nusd for line in lines if line.verdict is Verdict.NONE and line.list_nusd is None),
        sum(line.unpriced_tokens for line in lines),
    )  # fmt: skip
