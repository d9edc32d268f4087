"""The money of the invented fleet beyond what it burns: plans, budgets, providers in several states, bills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

from msgspec.structs import replace

from tokentop.demo.cast import PROJECTS, dice
from tokentop.engine.budget import Spent, judge, limits_of
from tokentop.engine.correction import correct, learned
from tokentop.engine.day_totals import by_day
from tokentop.engine.days import Day, day_bounds
from tokentop.engine.forecast import Forecaster
from tokentop.engine.plans import split
from tokentop.engine.reconcile import Line, Verdict
from tokentop.engine.residual import ELSEWHERE, NOT_YET, Part
from tokentop.engine.statement import Bills, Statement
from tokentop.engine.statement import Day as DaySoFar
from tokentop.nouns.billing import DAY_MS, Balance, Health, KeySeen, ProviderState, ReportStanding, Standing
from tokentop.nouns.money import Budget, Forecast, Quota
from tokentop.nouns.usage import Figures, Tokens
from tokentop.polling.standing import in_a_word, todo
from tokentop.providers import all_providers
from tokentop.providers.base import Provider
from tokentop.settings.spending import NUSD, Amounts, Budgets, Plan

_MINUTE_MS = 60_000
_SHARES = {"claude": 0.55, "codex": 0.26, "gemini": 0.11, "opencode": 0.08}
_BILLED = {"litellm": ("gemini", "gemini-3-pro"), "openrouter": ("opencode", "glm-5")}
_PLANS = (
    Plan("claude", "Max 20x", "work", 200.0),
    Plan("claude", "Max 5x", "home", 100.0),
    Plan("codex", "Pro", fee_usd=200.0),
)
_BUDGETS = Budgets(
    day=2000.0, week=8000.0, month=40_000.0, projects={"api": Amounts(day=130.0)}, agents={"gemini": 240.0}
)
_DAYS = 8
_OFF = ("deepseek", "moonshot", "vercel", "anthropic", "codex_wham")


def statement(
    seed: int, zone: tzinfo, at_ms: int, today: Figures, forecast: Forecast, forecaster: Forecaster,
    quotas: Sequence[Quota], days: Sequence[Day], spent: tuple[tuple[int, int], ...],
) -> Statement:  # fmt: skip
    """Everything of one look. `days` are the past ones, `spent` the curve of today."""
    start_ms, end_ms, day = day_bounds(at_ms, zone)
    by_day_nusd = {one.day: one.total_nusd for one in days}
    month = sum(
        nusd for past, nusd in by_day_nusd.items() if (past.year, past.month) == (day.year, day.month)
    )
    forecast = replace(forecast, month=forecaster.month(forecast, month + forecast.today_nusd))
    lines = _lines(seed, at_ms, by_day_nusd, today.cost_nusd)
    factors = [factor for provider in _BILLED if (factor := learned(lines, provider)) is not None]
    paid = {name: round(today.cost_nusd * _SHARES[agent]) for name, (agent, _) in _BILLED.items()}
    covered = sum(share for agent, share in _SHARES.items() if agent in ("claude", "codex"))
    week = sum(nusd for past, nusd in by_day_nusd.items() if (day - past).days < _DAYS)
    return Statement(
        at_ms, "demo", False, DaySoFar(start_ms, end_ms, spent), today, forecast, tuple(quotas),
        split(_PLANS, quotas, _by_agent(month + today.cost_nusd), _by_agent(today.cost_nusd), {"amp": 412_500}),
        _budgets(forecast, forecaster, by_day_nusd, day, zone), frozenset(_SHARES), _standings(at_ms),
        Bills(by_day(lines), round(week * covered), (("openrouter", 0.95),), reported=True),
        correct(forecast, paid, factors), hooked=True,
    )  # fmt: skip


def _by_agent(nusd: int) -> dict[str, int]:
    return {agent: round(nusd * share) for agent, share in _SHARES.items()}


def _by(nusd: int) -> dict[tuple[str, str], int]:
    """By agent and project."""
    return {
        (agent, project): round(nusd * share / len(PROJECTS))
        for agent, share in _SHARES.items()
        for project, _ in PROJECTS
    }


def _budgets(
    forecast: Forecast, forecaster: Forecaster, days: Mapping[date, int], today: date, zone: tzinfo
) -> tuple[Budget, ...]:
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    begins = {"week": monday, "month": first, "recent": today - timedelta(days=7)}
    earlier = {
        period: _by(sum(nusd for past, nusd in days.items() if begin <= past < today))
        for period, begin in begins.items()
    }
    return judge(limits_of(_BUDGETS), forecast, Spent(_by(forecast.today_nusd), earlier), forecaster, zone)


# ---------------------------------------------------------------- bills


def _lines(seed: int, at_ms: int, days: Mapping[date, int], today_nusd: int) -> list[Line]:
    """Eight UTC days of two providers: most match, some show why they do not."""
    rng = dice(f"{seed}/bills")
    today = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    lines = []
    for back in range(_DAYS - 1, -1, -1):
        day = today - timedelta(days=back)
        spent = today_nusd if back == 0 else days.get(day, 0)
        for provider, (agent, model) in _BILLED.items():
            ours = round(spent * _SHARES[agent])
            share = rng.uniform(1.02, 1.09) if provider == "litellm" else 1.0
            lines.append(_line(provider, day, model, ours, share, back))
    return lines


def _line(provider: str, day: date, model: str, ours: int, share: float, back: int) -> Line:
    final, gap = back >= 3, round(ours * (share - 1))
    verdict, reason = Verdict.MATCH, ""
    parts: tuple[Part, ...] = ()
    tokens = Tokens(input=ours // 4000, cache_read=ours // 900, output=ours // 20_000)
    theirs = tokens
    if share > 1:
        verdict, reason, parts = Verdict.UNCOVERED, "used elsewhere, or in no log", (Part(ELSEWHERE, -gap),)
        theirs = Tokens(
            round(tokens.input * share), round(tokens.cache_read * share), output=round(tokens.output * share)
        )
    elif back == 0:
        gap = -ours // 20
        verdict, reason, parts = Verdict.PENDING, "the provider's report is not final", (Part(NOT_YET, -gap),)
        theirs = replace(tokens, cache_read=tokens.cache_read * 19 // 20)
    elif back == 5:
        gap = ours * 3 // 100
        parts = (Part("price of cache_read", -gap),)
        verdict, reason = Verdict.PRICE, "price of cache reads"
    listed = ours + gap
    billed = round(listed * 0.95) if provider == "openrouter" else listed
    coverage = tokens.total / theirs.total if theirs.total else None
    return Line(
        provider, day.isoformat(), model, "tokens", verdict, reason, tokens, theirs, ours, listed, billed, coverage,
        parts, final,
    )  # fmt: skip


# ---------------------------------------------------------------- providers


def _standings(at_ms: int) -> tuple[Standing, ...]:
    """Providers as they are met: one that answers, one that was refused, one that has to wait, one that is gone."""
    known = {one.id: one for one in all_providers()}
    back = {"openrouter": 3, "litellm": 26, "openai": 190, "claude_oauth": 47, "xai": 1300, "github": 55}
    states = {
        "openrouter": (Health.OK, "", 2),
        "litellm": (Health.TIMEOUT, "no answer within 20 s", 9),
        "openai": (Health.UNAUTHORIZED, "401: the key is not known", 0),
        "claude_oauth": (Health.LIMITED, "429, retry after 3037 s", 31),
        "xai": (Health.UNREACHABLE, "connection refused", 44),
        "github": (Health.FORBIDDEN, "403: the token may not read billing", 0),
    }
    balances = {
        "openrouter": Balance("openrouter", "credits", "credits", remaining_nano=41 * NUSD + 200_000_000,
                              used_nano=358 * NUSD, at_ms=at_ms - 3 * _MINUTE_MS),
        "litellm": Balance("litellm", "key", "key", used_nano=612 * NUSD, limit_nano=900 * NUSD, period="month",
                           at_ms=at_ms - 26 * _MINUTE_MS),
        "xai": Balance("xai", "balance", "prepaid", remaining_nano=10 * NUSD, at_ms=at_ms - 1300 * _MINUTE_MS,
                       stale=True),
    }  # fmt: skip
    shown = []
    for name, (health, reason, next_min) in states.items():
        ok_ms = at_ms - back[name] * _MINUTE_MS
        next_ms = at_ms + next_min * _MINUTE_MS if next_min else 0
        found = balances.get(name)
        shown.append(_standing(known[name], health, reason, (at_ms, ok_ms, next_ms), found))
    off = tuple(
        Standing(one.id, one.label, "off", needs=one.needs) for one in known.values() if one.id in _OFF
    )
    return (*shown, *off)


def _standing(
    provider: Provider, health: Health, reason: str, times: tuple[int, int, int], balance: Balance | None
) -> Standing:
    at_ms, ok_ms, next_ms = times
    reports = []
    for at, source in enumerate(provider.sources[:3]):
        good = health is Health.OK or (at > 0 and health is Health.TIMEOUT)
        state = ProviderState(
            provider.id, source.id, "demo", Health.OK if good else health, "" if good else reason, at_ms - _MINUTE_MS,
            at_ms - 4 * _MINUTE_MS if good else ok_ms, next_ms=next_ms or (at_ms + DAY_MS // 48 if good else 0),
            failures=0 if good else 3,
        )  # fmt: skip
        reports.append(
            ReportStanding(source.gives, state, state.next_ms, todo(provider, source.needs, state.state))
        )
    key = KeySeen("secrets.toml", "d3m0")
    word = in_a_word(one.state.state for one in reports)
    return Standing(
        provider.id, provider.label, word, True, bool(provider.private_risk), key, "", provider.needs,
        provider.base_url, tuple(reports), (balance,) if balance is not None else (),
    )  # fmt: skip
