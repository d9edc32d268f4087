"""What settled days teach about today: the provider's bill in terms of what our logs hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from tokentop.engine.reconcile import Line, Verdict
from tokentop.nouns.money import Forecast

DAYS = 7  # settled days that count, the newest
LEAST_DAYS = 3  # fewer teach nothing


class Factor(Struct, frozen=True):
    """Billed by the provider for each dollar in our logs, over `days` settled days; `low` and `high` are single days."""

    provider: str
    ratio: float
    low: float
    high: float
    days: int

    def apply(self, nusd: int) -> tuple[int, int, int]:
        """(estimate, low, high) of the provider's figure, in nano-dollars, for one of ours."""
        return round(nusd * self.ratio), round(nusd * self.low), round(nusd * self.high)


def learned(lines: Iterable[Line], provider: str) -> Factor | None:
    """Return the factor from the newest settled days that have both figures; None where there are too few.

    It holds what logs cannot show (another machine, lost calls) and what list prices do not (a discount).
    """
    days: dict[str, list[int]] = {}
    for line in lines:
        if line.provider == provider and line.final and line.verdict is not Verdict.NONE:
            sums = days.setdefault(line.day_utc, [0, 0])
            sums[0] += line.ours_nusd
            sums[1] += line.billed_nusd or 0
    known = [(ours, billed) for _, (ours, billed) in sorted(days.items()) if ours > 0 and billed > 0][-DAYS:]
    if len(known) < LEAST_DAYS:
        return None
    ratios = [billed / ours for ours, billed in known]
    total = sum(billed for _, billed in known) / sum(ours for ours, _ in known)
    return Factor(provider, total, min(ratios), max(ratios), len(known))


class Corrected(Struct, frozen=True):
    """Today as the providers' bills will say it, by `factors`; what they do not bill stays as it is in our logs."""

    today_nusd: int
    projected_nusd: int
    low_nusd: int  # the low end of the 80 % interval with the lowest settled day, and so on
    high_nusd: int
    factors: tuple[Factor, ...]


def correct(forecast: Forecast, billed: Mapping[str, int], factors: Iterable[Factor]) -> Corrected | None:
    """Correct today's bill and its projection. `billed` = spend of today by provider that keys paid, nano-dollars.

    The rest of the day is taken to be paid as today was so far. None where no factor applies.
    """
    used = tuple(factor for factor in factors if billed.get(factor.provider, 0) > 0)
    if not used or forecast.today_nusd <= 0:
        return None

    def times(nusd: int, ratios: list[float]) -> int:
        more = sum((ratio - 1) * billed[one.provider] for one, ratio in zip(used, ratios, strict=True))
        return max(0, round(nusd * (1 + more / forecast.today_nusd)))

    usual = [factor.ratio for factor in used]
    return Corrected(
        times(forecast.today_nusd, usual), times(forecast.projected_nusd, usual),
        times(forecast.low_nusd, [factor.low for factor in used]),
        times(forecast.high_nusd, [factor.high for factor in used]), used,
    )  # fmt: skip
