"""Subscriptions: what they cover, what they are worth, and what is paid beside them. Pure.

Leverage = list value of the month so far / fee of the month. Which login a session belonged to is in no log:
where an agent has several plans, its use is set against all their fees together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from tokentop.nouns.money import Quota
from tokentop.settings.spending import NUSD, Plan, minutes_of

SETTINGS = "settings"  # `Quota.source` of a window that only the settings know


class Covered(Struct, frozen=True):
    """One agent's plans: where they are known from, their fee, and the list value used this month and today."""

    agent: str
    names: tuple[str, ...]
    source: str  # settings, log, hook, endpoint
    fee_nusd: int | None  # of a month, all plans of the agent; None = not told
    month_nusd: int
    today_nusd: int
    quotas: tuple[Quota, ...] = ()

    @property
    def leverage(self) -> float | None:
        return self.month_nusd / self.fee_nusd if self.fee_nusd else None


class Split(Struct, frozen=True):
    """This month's spend: list value that plans cover, cash at list price, and credits in their own unit."""

    plans: tuple[Covered, ...]
    cash_nusd: int
    cash_today_nusd: int
    credits_milli: dict[str, int]  # thousandths of the agent's unit, by agent

    @property
    def covered_nusd(self) -> int:
        return sum(plan.month_nusd for plan in self.plans)

    @property
    def fee_nusd(self) -> int | None:
        """All fees together; None where one of them is not told, or there is no plan."""
        fees = [plan.fee_nusd for plan in self.plans]
        return None if not fees or None in fees else sum(fee for fee in fees if fee is not None)

    @property
    def leverage(self) -> float | None:
        return self.covered_nusd / self.fee_nusd if self.fee_nusd else None


def split(
    plans: Iterable[Plan],
    quotas: Sequence[Quota],
    month: Mapping[str, int],
    today: Mapping[str, int],
    credits_milli: Mapping[str, int],
) -> Split:
    """Split the spend of agents (nano-dollars at list price, by agent) by who pays for it.

    An agent is covered when the settings name a plan of it, else when its own limits show that it runs on one.
    """
    given, seen = _known(plans, quotas)
    found = [
        _covered(agent, given.get(agent, []), seen.get(agent, []), month, today)
        for agent in sorted({*given, *seen})
    ]
    agents = {one.agent for one in found}
    return Split(
        tuple(found),
        sum(nusd for agent, nusd in month.items() if agent not in agents),
        sum(nusd for agent, nusd in today.items() if agent not in agents),
        {agent: milli for agent, milli in sorted(credits_milli.items()) if milli},
    )


def set_windows(plans: Iterable[Plan], quotas: Iterable[Quota]) -> dict[tuple[str, int], int]:
    """{(agent, minutes): list value in nano-dollars} of the windows that the settings name and no source tells.

    Which plan a session belonged to is not known, so what the plans of an agent hold is taken together.
    """
    told = {(quota.provider, quota.window_minutes) for quota in quotas}
    found: dict[tuple[str, int], int] = {}
    for plan in plans:
        for length, usd in plan.windows.items():
            key = (plan.agent, minutes_of(length))
            if key not in told:
                found[key] = found.get(key, 0) + round(usd * NUSD)
    return found


def estimated(
    wanted: Mapping[tuple[str, int], int], used: Mapping[tuple[str, int], int], at_ms: int
) -> tuple[Quota, ...]:
    """The windows of `set_windows` as limits of the source SETTINGS: the list value used in as much time before now.

    When such a window was reset is not known, so it is an estimate, without a reset.
    """
    return tuple(
        Quota(agent, "", minutes, agent, 100 * used.get((agent, minutes), 0) / nusd, 0, SETTINGS, at_ms)
        for (agent, minutes), nusd in sorted(wanted.items())
    )


def covered_agents(plans: Iterable[Plan], quotas: Iterable[Quota]) -> frozenset[str]:
    """The agents whose spend a subscription covers: nobody bills it by use."""
    given, seen = _known(plans, quotas)
    return frozenset({*given, *seen})


def _known(
    plans: Iterable[Plan], quotas: Iterable[Quota]
) -> tuple[dict[str, list[Plan]], dict[str, list[Quota]]]:
    """By agent: the plans that the settings name, and the limits that only a plan has."""
    given: dict[str, list[Plan]] = {}
    for plan in plans:
        given.setdefault(plan.agent, []).append(plan)
    seen: dict[str, list[Quota]] = {}
    for quota in quotas:
        if quota.window_minutes and quota.limit_id != "spend_limit":  # that is money, paid as it is used
            seen.setdefault(quota.provider, []).append(quota)
    return given, seen


def _name(plan: Plan) -> str:
    """`Max 20x (work)`: an account is told beside the name, so that two logins can be told apart."""
    if plan.name and plan.account:
        return f"{plan.name} ({plan.account})"
    return plan.name or plan.account or plan.agent


def _covered(
    agent: str, plans: list[Plan], quotas: list[Quota], month: Mapping[str, int], today: Mapping[str, int]
) -> Covered:
    newest = max(quotas, key=lambda q: q.at_ms) if quotas else None
    if plans:
        names = tuple(_name(plan) for plan in plans)
        fees = [plan.fee_usd for plan in plans]
        told = [fee for fee in fees if fee is not None]
        fee = round(sum(told) * NUSD) if len(told) == len(fees) else None
        source = "settings"
    else:
        names = tuple(sorted({q.plan for q in quotas if q.plan}))
        fee, source = None, newest.source if newest else ""
    return Covered(agent, names, source, fee, month.get(agent, 0), today.get(agent, 0), tuple(quotas))
