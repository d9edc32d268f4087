"""The parts about money: today's figures, plans, budgets, and our bills beside those of the providers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokentop import text
from tokentop.engine.correction import Corrected
from tokentop.engine.day_totals import DayTotal
from tokentop.engine.plans import Covered, Split
from tokentop.engine.reconcile import Line as Compared
from tokentop.engine.reconcile import Verdict
from tokentop.engine.statement import Bills, Statement
from tokentop.nouns.money import Budget, Forecast, MonthForecast
from tokentop.ui.bill.fan import curve
from tokentop.ui.bill.frame import Line, Lines, cells, fitted
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import fit
from tokentop.ui.widgets.limits import gauge

_WIDE = 108  # cells: from here on there is room for where a figure comes from
_BESIDE = 100  # ... for the residual in the line of its day
_HOW = {
    "burn": "from the present burn rate; there is no history yet",
    "none": "nothing burns and there is no history: no projection yet",
}
_VERDICTS = {
    Verdict.MATCH: "good", Verdict.PENDING: "dim", Verdict.UNCOVERED: "warm", Verdict.PRICE: "hot",
    Verdict.OVER: "error", Verdict.NONE: "dim",
}  # fmt: skip


# ---------------------------------------------------------------- today


def today(found: Statement, width: int, height: int, ascii_only: bool) -> Lines:
    """The figures of the day and the month, and the curve in `height` lines."""
    if found.day is None or found.forecast is None:
        why = "the logs are still being read" if found.reading else "the store has told nothing yet"
        return [[("? ", "strong"), (f"{why}: today's bill is not known", "muted")]]
    forecast = found.forecast
    lines: Lines = [_so_far(found, forecast, width)]
    if forecast.method == "profile":
        how = f"from your own {text.plural(forecast.days_of_history, 'past day')}"
        lines[0] += [("   ", ""), (_intervals(forecast, width), "muted")]
        if width >= _WIDE:
            lines[0].append((f"   {how}", "dim"))
    else:
        lines[0].append((f"   {_HOW.get(forecast.method, '')}", "dim"))
    if found.corrected is not None:
        lines.append(_corrected(found.corrected, width))
    budgets = [(f"budget {text.trimmed(text.money(b.amount_nusd))}", b.amount_nusd) for b in found.budgets
               if b.scope == "all" and b.period == "day"]  # fmt: skip
    lines += [[], *curve(found.day, forecast, budgets, width, height, ascii_only)]
    if forecast.month is not None:
        lines.append(_month(forecast.month, known=forecast.method != "none"))
    return lines


def _so_far(found: Statement, forecast: Forecast, width: int) -> Line:
    partial = found.reading or found.today.unpriced_tokens > 0 or found.today.unknown_calls > 0
    mark = "≥" if partial else "≈" if found.today.estimated else ""
    line: Line = [
        (text.money(forecast.today_nusd, mark, width=8 + len(mark)), "strong"),
        (" so far", "muted"),
    ]
    if forecast.method != "none":
        line += [(" → ", "dim"), (text.money(forecast.projected_nusd, width=8), "strong")]
        line += [(" by midnight", "muted")] if width >= 84 else []
    return line


def _intervals(forecast: Forecast, width: int) -> str:
    half = f"50 % {_span(forecast.low_half_nusd, forecast.high_half_nusd)}   "
    return (half if width >= 72 else "") + f"80 % {_span(forecast.low_nusd, forecast.high_nusd)}"


def _span(low: int, high: int) -> str:
    return f"{text.money(low)}–{text.money(high, sign='')}"


def _corrected(one: Corrected, width: int) -> Line:
    """Marked as what it is: not our figure, but what the providers' bills will probably say."""
    parts = [f"{safe(f.provider, 14)} {f.ratio:.3f}x" for f in one.factors]
    settled = text.plural(min(f.days for f in one.factors), "settled day")
    days = f" ({settled})" if width >= _WIDE else ""
    return [
        ("≈ ", "warm"), (text.money(one.projected_nusd, width=8), "strong"), (" corrected", "warm"),
        (f" by bills  80 % {_span(one.low_nusd, one.high_nusd)}", "muted"),
        (f"   {', '.join(parts)}{days}" if width >= 84 else "", "dim"),
    ]  # fmt: skip


def _month(month: MonthForecast, *, known: bool) -> Line:
    line: Line = [
        (f"{month.month}  ", "head"),
        (text.money(month.spent_nusd), "strong"),
        (" so far", "muted"),
    ]
    if known:
        line += [
            (" → ", "muted"), (text.money(month.projected_nusd), "strong"), (" by its end", "muted"),
            (f"   80 % {_span(month.low_nusd, month.high_nusd)}", "dim"),
        ]  # fmt: skip
    return line


# ---------------------------------------------------------------- plans


def plans(found: Split | None, width: int) -> Lines:
    """What each plan covers of today and of the month, against its fee; cash and credits below."""
    if found is None:
        return [[("? the month's spend is not known yet", "dim")]]
    name = max(8, min(34, width - 42))
    head = f"{'':<9} {'plan':<{name}} {'fee':>6} {'today':>7} {'month':>7} {'leverage':>8}"
    lines: Lines = [[(head, "head")]]
    lines += [_plan(plan, name) for plan in found.plans]
    if not found.plans:
        lines.append([("no plan is known; name yours under [[plans]] in the settings", "dim")])
    covered_today = sum(plan.today_nusd for plan in found.plans)
    if len(found.plans) > 1:
        lines.append(
            _sums("covered", "", found.fee_nusd, covered_today, found.covered_nusd, name, found.leverage)
        )
    lines.append(_sums("cash", "at list price", 0, found.cash_today_nusd, found.cash_nusd, name, None))
    for agent, milli in found.credits_milli.items():
        lines.append([(f"{'credits':<9} ", "muted"), (fit(safe(agent, 40), name), "muted"),
                      (f"{milli / 1000:>23,.2f}", "strong")])  # fmt: skip
    return lines


def _plan(plan: Covered, name: int) -> Line:
    names = ", ".join(safe(one, 40) for one in plan.names) or "? (its limits tell it)"
    fee = "?" if plan.fee_nusd is None else text.money(plan.fee_nusd)
    return [
        (fit(safe(plan.agent, 20), 9) + " ", "key"), (fit(names, name), ""), (f" {text.trimmed(fee):>6}", "muted"),
        (f" {text.money(plan.today_nusd):>7} {text.money(plan.month_nusd):>7}", "strong"),
        (f" {times(plan.leverage):>8}", "good" if (plan.leverage or 0) >= 1 else "muted"),
    ]  # fmt: skip


def _sums(
    word: str,
    about: str,
    fee: int | None,
    today_nusd: int,
    month_nusd: int,
    name: int,
    leverage: float | None,
) -> Line:
    shown = "?" if fee is None else text.trimmed(text.money(fee)) if fee else ""
    ratio = times(leverage) if fee != 0 else ""
    return [
        (f"{word:<9} ", "muted"), (fit(about, name), "dim"), (f" {shown:>6}", "muted"),
        (f" {text.money(today_nusd):>7} {text.money(month_nusd):>7}", "strong"), (f" {ratio:>8}", "muted"),
    ]  # fmt: skip


def times(leverage: float | None) -> str:
    return "?" if leverage is None else f"{leverage:.1f}x"


# ---------------------------------------------------------------- budgets


def budgets(found: Sequence[Budget], now_ms: int, width: int) -> Lines:
    """Each budget with what is used, and when it runs out."""
    if not found:
        return [
            [("no budget is set; for example ", "dim"), ("tokentop budget set day 200", "strong")],
        ]
    name = min(28, max(cells([(safe(one.label, 60), "")]) for one in found))
    bar = max(4, min(60, width - name - 48))
    return [_budget(one, now_ms, name, bar) for one in found]


def _budget(one: Budget, now_ms: int, name: int, bar: int) -> Line:
    used = one.used * 100
    role = "hot" if used >= 100 else "warm" if used >= 80 else "good"
    if used >= 100:
        end, end_role = "exhausted", "hot"
    elif one.exhausted_ms:
        end, end_role = f"exhausted {text.at_clock(one.exhausted_ms, now_ms)}", "warm"
    elif one.projected_nusd is None:
        end, end_role = "? nothing is known of what is to come", "dim"
    else:
        end, end_role = f"holds, {text.money(one.projected_nusd)} at its end", "dim"
    return [
        (fit(safe(one.label, 60), name) + " ", "muted"), (gauge(used, bar), role),
        (f" {text.percent(used):>4}", "strong"),
        (f" {text.money(one.spent_nusd):>6} of {text.trimmed(text.money(one.amount_nusd)):<6} ", "muted"),
        (end, end_role),
    ]  # fmt: skip


# ---------------------------------------------------------------- bills


def bills(found: Bills | None, width: int, *, asked: bool) -> Lines:
    """A line for each UTC day and provider, the newest first; below it what of it does not agree.

    `asked` = some provider is asked for bills.
    """
    if found is None:
        return [[("? the store cannot be read", "warm")]]
    lines: Lines = []
    if not found.days:
        lines += _nothing_told(found, asked)
    else:
        lines.append([(_head(), "head")])
        for day in found.days:
            lines += _day(day, width)
    for provider, ratio in found.discounts:
        lines.append(
            [(f"{safe(provider, 20)} bills {ratio:.1%} of its list price; compared at list price", "dim")]
        )
    if found.covered_nusd:
        lines.append([(f"not compared: {text.money(found.covered_nusd)} at list price, covered by plans: no call is billed",
                       "dim")])  # fmt: skip
    return lines


def _nothing_told(found: Bills, asked: bool) -> Lines:
    if found.reported:
        return [[("nothing was used in these days, here or there", "dim")]]
    if asked:
        return [[("no bill of these days has come yet: see providers", "dim")]]
    return [
        [("no provider has told a bill of these days", "dim")],
        [("switch one on: ", "dim"), ("tokentop providers enable anthropic", "strong"),
         (" (or openai, openrouter, litellm)", "dim")],
    ]  # fmt: skip


def _head() -> str:
    return f"{'UTC day':<10} {'provider':<10} {'ours':>7} {'theirs':>7} {'diff':>8} {'cover':>6}  state"


def _day(day: DayTotal, width: int) -> Iterator[Line]:
    gap = day.difference_nusd
    listed = "?" if day.list_nusd is None else text.money(day.list_nusd)
    cover = "–" if day.coverage is None else f"{day.coverage:.1%}"
    line: Line = [
        (f"{day.day_utc:<10} ", "" if day.final else "muted"), (fit(safe(day.provider, 20), 10), "muted"),
        (f" {text.money(day.ours_nusd):>7} {listed:>7}", "strong"),
        (f" {signed(gap) if gap is not None else '–':>8}", "muted"), (f" {cover:>6}  ", "muted"),
        (day.verdict.value, _VERDICTS[day.verdict]), ("" if day.final else ", not final", "dim"),
    ]  # fmt: skip
    named = _named(day)
    if named and width >= _BESIDE:
        line = [*fitted(line, 77), (named, "dim")]
    yield line
    if named and width < _BESIDE:
        yield [("  " + named, "dim")]
    if len(day.odd) > 1 or (day.odd and day.odd[0].kind != "tokens"):
        for one in day.odd:
            yield _odd(one)
    if day.apart_nusd:
        yield [
            (
                f"  {text.money(day.apart_nusd)} more here of which nothing was billed: a plan, or another account",
                "dim",
            )
        ]
    if day.unpriced_tokens:
        yield [(f"  {text.digits3(day.unpriced_tokens)} tokens here have no price", "warm")]


def _named(day: DayTotal) -> str:
    """What the difference is made of, in words."""
    if day.verdict in (Verdict.MATCH, Verdict.NONE):
        return safe(day.reason, 80) if day.verdict is Verdict.NONE else ""
    parts = [f"{signed(part.nusd)} {part.name.partition(':')[0]}" for part in day.parts[:3]]
    return safe(", ".join(parts) or day.reason, 160)


def _odd(line: Compared) -> Line:
    name = safe(line.model, 40) or safe(line.kind.replace("_", " "), 40)
    gap = line.difference_nusd
    return [
        (f"    {fit(name, 24)} ", "dim"), (line.verdict.value, _VERDICTS[line.verdict]),
        (f"  {signed(gap) if gap is not None else ''} {safe(line.reason, 80)}", "dim"),
    ]  # fmt: skip


def signed(nusd: int) -> str:
    """`+$3.20`, `-$0.41`, `$0.00`, `-$13.80`."""
    return f"{'+' if nusd > 0 else ''}{text.money(nusd, width=7)}"
