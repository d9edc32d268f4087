"""The parts that others tell us: the windows of plans, and where each provider stands. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap

from tokentop import text
from tokentop.engine.pace import ahead_pct
from tokentop.engine.plans import SETTINGS
from tokentop.engine.statement import Statement
from tokentop.nouns.billing import Balance, Health, ReportStanding, Standing
from tokentop.nouns.money import Quota
from tokentop.ui.bill.frame import Line, Lines
from tokentop.ui.cells import HOT_PCT, STALE_MS
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import fit
from tokentop.ui.widgets.limits import gauge, quota_names, was_reset

_GOOD = frozenset({Health.OK, Health.OFF, Health.WAITING})


# ---------------------------------------------------------------- windows of plans


def windows(found: Statement, width: int) -> Lines:
    """Each window with gauge, pace and end; the accounts of an agent stand together."""
    shown = sorted(
        found.quotas, key=lambda q: (q.provider, q.account, q.limit_id != q.provider, q.window_minutes)
    )
    names = quota_names(shown)
    name = min(26, max(map(len, names), default=0))
    bar = max(4, min(60, width - name - 49))
    head = f"{'window':<{name + bar + 1}} {'used':>4}  {'pace':>9}  {'full, reset':<14} told by"
    lines: Lines = [[(head, "head")]] if shown else []
    lines += [
        _window(quota, fit(label, name), bar, found.at_ms) for quota, label in zip(shown, names, strict=True)
    ]
    return [*lines, *_hints(found)]


def _window(quota: Quota, name: str, bar: int, now_ms: int) -> Line:
    age_ms = now_ms - quota.at_ms
    told = f"{quota.source}, {age_text(age_ms)}" if age_ms > STALE_MS else quota.source
    if was_reset(quota, now_ms):
        since = f"unknown since {text.clock_near(quota.resets_at_ms, now_ms)}"
        return [
            (name + " ", "dim"),
            (" " * bar + "    ? ", "dim"),
            (fit(since, 26), "dim"),
            (f" {safe(told, 40)}", "dim"),
        ]
    stale = age_ms > STALE_MS
    heat = sum(quota.used_pct >= step for step in HOT_PCT)
    role = "dim" if stale else ("good", "warm", "hot")[heat]
    ahead = ahead_pct(quota.used_pct, quota.window_minutes, quota.resets_at_ms, now_ms)
    pace = "" if ahead is None else f"{abs(ahead):.0f}% {'ahead' if ahead >= 0 else 'below'}"
    guess = quota.source == SETTINGS
    end, end_role = ("by list value" if guess else "no reset told"), "dim"
    if quota.resets_at_ms:
        end = f"→ {text.clock_near(quota.resets_at_ms, now_ms)}"
    if quota.full_at_ms:
        end, end_role = f"full {text.clock_near(quota.full_at_ms, now_ms)}", "hot"
    return [
        (name + " ", "dim" if stale else ""), (gauge(quota.used_pct, bar), role),
        (f"{('≈' if guess else '') + text.percent(quota.used_pct):>5}", "dim" if stale else "strong"),
        (f"  {pace:>9}", "warm" if ahead is not None and ahead > 0 and not stale else "dim"),
        (f"  {fit(end, 14)}", end_role), (f" {safe(told, 40)}", "dim"),
    ]  # fmt: skip


def _hints(found: Statement) -> Iterator[Line]:
    """How a limit that is not known becomes known."""
    if "claude" in found.agents and not found.hooked:
        yield [("for the limits of Claude's plans: ", "dim"),
               ("tokentop hook install statusline", "strong")]  # fmt: skip
    elif not found.quotas:
        yield [("no limit is known: Codex writes its limits into its logs;", "dim")]
        yield [("for those of Claude's plans: ", "dim"), ("tokentop hook install statusline", "strong")]


# ---------------------------------------------------------------- providers


def providers(found: Sequence[Standing], now_ms: int, width: int) -> Lines:
    """Who is asked: state, age of the last good value, next try, balances; below it what to do."""
    asked = [one for one in found if one.on or one.reports]
    lines: Lines = []
    if asked:
        lines.append([(f"{'provider':<12} {'state':<12} {'last good':>9} {'next':>7}  balance", "head")])
    for one in asked:
        lines += _provider(one, now_ms, width)
    off = [one.provider for one in found if not (one.on or one.reports)]
    if not asked:
        lines.append([("no provider is asked for bills, balances or limits", "dim")])
    if off:
        most = 3 if width < 90 else 4
        names = ", ".join(off[:most]) + (" ..." if len(off) > most else "")
        lines.append(
            [("off: ", "dim"), (names, "muted"), ("   ", ""), ("tokentop providers enable ID", "strong")]
        )
    return lines


def _provider(one: Standing, now_ms: int, width: int) -> Iterator[Line]:
    asked = [report for report in one.reports if report.state.state not in (Health.OFF, Health.WAITING)]
    good_ms = max((report.state.ok_ms for report in asked), default=0)
    nexts = [report.next_ms for report in asked if report.next_ms]
    soon = f"in {text.duration(-(-max(0, min(nexts) - now_ms) // 60_000) * 60)}" if nexts else "–"
    yield [
        (fit(safe(one.provider, 20), 12) + " ", "key"), (fit(one.state, 12), _role(one.state)),
        (f" {age_text(now_ms - good_ms) if good_ms else 'never':>9}", "muted"), (f" {soon:>7}  ", "muted"),
        (", ".join(balance(each, now_ms) for each in one.balances), "strong"),
    ]  # fmt: skip
    if one.problem:
        for at, part in enumerate(wrap(safe(one.problem, 400), max(20, width - 6))):
            yield [(("  → " if at == 0 else "    ") + part, "warm")]
        return
    for todo, reports in _failing(asked):
        names = ", ".join(safe(report.state.source, 20) for report in reports)
        first = reports[0].state
        line: Line = [
            (f"  {names}: ", "dim"),
            (safe(str(first.state), 20), "error"),
            (f", {safe(first.reason, 120)}", "muted"),
        ]
        yield line
        for at, part in enumerate(wrap(todo, max(20, width - 6))):
            yield [(("    → " if at == 0 else "      ") + part, "warm")]


def _failing(asked: Iterable[ReportStanding]) -> Iterator[tuple[str, list[ReportStanding]]]:
    """Reports that fail alike stand in one line, with what to do about it."""
    alike: dict[tuple[str, Health, str], list[ReportStanding]] = {}
    for report in asked:
        state = report.state
        if state.state not in _GOOD:
            alike.setdefault((report.todo, state.state, state.reason), []).append(report)
    for (todo, _, _), reports in alike.items():
        yield todo, reports


def _role(word: str) -> str:
    if word == Health.OK:
        return "good"
    if word in (Health.WAITING, Health.OFF) or word.startswith("off"):
        return "dim"
    return "warm" if word.endswith(" ok") or word in (Health.LIMITED, Health.OVERLOADED) else "error"


def balance(one: Balance, now_ms: int) -> str:
    """`credits $41.20 left, $358 used`; another currency than dollars by its name."""

    def amount(nano: int) -> str:
        return (
            text.money(nano)
            if one.currency == "USD"
            else f"{text.money(nano, sign='')} {safe(one.currency, 4)}"
        )

    parts = []
    if one.remaining_nano is not None:
        parts.append(f"{amount(one.remaining_nano)} left")
    if one.used_nano is not None and one.limit_nano is not None:
        parts.append(f"{amount(one.used_nano)} of {amount(one.limit_nano)}")
    elif one.used_nano is not None:
        parts.append(f"{amount(one.used_nano)} used")
    elif one.limit_nano is not None:
        parts.append(f"limit {amount(one.limit_nano)}")
    period = f" a {safe(one.period, 8)}" if one.period else ""
    old = f" ({age_text(now_ms - one.at_ms)})" if one.stale or now_ms - one.at_ms > 4 * STALE_MS else ""
    return f"{safe(one.name, 24)} {', '.join(parts) or 'no limit'}{period}{old}"


def age_text(age_ms: int) -> str:
    """`now` below a minute, so that a screen at rest stays as it is."""
    return "now" if age_ms < 60_000 else f"{text.duration(age_ms // 60_000 * 60)} ago"
